//! One SQLite file that several processes write: one writer thread per process and file, a fair lock taken
//! before `BEGIN IMMEDIATE`, group commit. Knows SQL and files; must not know what the tables mean, which
//! service asks, or that there is HTTP.
//!
//! How a write goes: [`Store::write`] puts a job on the `queue`. The `writer` thread takes the `lock`
//! on `<db>.lock`, then all queued jobs, and runs them as one `batch` (a savepoint per job, one COMMIT, one
//! fsync). It releases the lock and answers all callers. `checkpoint` keeps the WAL short between batches.
//! `disk_space` remembers a full disk, `lock_wait` reports a lock that is not released. `open` refuses
//! what must not be opened (`filesystem`, `header`, `integrity`); `file_identity` notices files that
//! were removed since.
//!
//! Three rules hold throughout:
//! - `Ok` means that the write is on disk: `synchronous=FULL`, and the answer follows COMMIT. (Committing
//!   with NORMAL, releasing the lock and syncing the WAL before the answer was considered. Even without that
//!   sync, 2 processes with 64 orders in flight each did only 15,900 orders/s instead of 11,500, and readers
//!   would see writes that are not on disk.)
//! - A refusal, too, is answered only after COMMIT, since it may rest on what another job of the batch wrote.
//! - No other descriptor on the database file is ever opened: closing one would drop the POSIX locks of all
//!   connections of this process.

mod batch;
mod checkpoint;
mod checkpoint_policy;
mod disk_space;
mod error;
mod file_identity;
mod filesystem;
mod handle;
mod header;
mod integrity;
mod job;
mod lock;
mod lock_wait;
mod open;
mod options;
mod queue;
mod reader;
mod wal;
mod writer;

pub use error::{OpenError, ReadError, WriteError, WriteStall, WriteStallCause};
pub use handle::Store;
pub use job::Tx;
pub use lock::OfdLock;
pub use options::{Admission, PoisonHook, Schema, SignalHook, StoreOptions, Verify};
pub use wal::{LONG_WAL_BYTES, wal_bytes, wal_readers};

#[cfg(test)]
mod tests;
