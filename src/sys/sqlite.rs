//! What the C interface of SQLite tells and rusqlite does not.

use rusqlite::{Connection, ffi};

/// The extended result code of the connection's most recent call (`sqlite3_extended_errcode`): what went
/// wrong inside a job whose own error type hides it.
#[must_use]
pub fn extended_errcode(connection: &Connection) -> i32 {
    // SAFETY: the handle is used within this borrow of its connection, which keeps it open; reading the code
    // changes nothing.
    let handle = unsafe { connection.handle() };
    // SAFETY: `handle` is an open connection (see above), used by one thread at a time because `Connection`
    // is not Sync.
    unsafe { ffi::sqlite3_extended_errcode(handle) }
}
