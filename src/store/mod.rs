//! One SQLite file that several processes write: one writer thread per process and file, a fair lock taken before
//! `BEGIN IMMEDIATE`, group commit. Knows SQL and files; must not know what the tables mean, who asks, or that there is HTTP.
//!
//! How a write goes: [`Store::write`] puts a job on the [`queue`] → the [`writer`] thread takes the [`lock`] on `<db>.lock`,
//! then everything queued, runs it as one [`batch`] (a savepoint per job, one COMMIT, one fsync), releases the lock and answers
//! all. [`checkpoint`] keeps the WAL short between batches. [`disk_space`] remembers a full disk, [`lock_wait`]
//! tells of a lock that does not come. [`open`] refuses what must not be opened ([`filesystem`], [`header`], [`integrity`]), [`file_identity`] what
//! was taken away since.
//!
//! Three rules hold throughout:
//! - `Ok` is on disk when it is said: `synchronous=FULL`, and the answer follows COMMIT.
//!   (Committing with NORMAL, releasing the lock and syncing the WAL before the answer was considered: even without that sync,
//!   2 processes × 64 orders in flight did only 15,900 orders/s instead of 11,500, and readers would see what is not on disk.)
//! - A refusal is told only after COMMIT too, since it may have been decided on what a batch-mate wrote.
//! - No other descriptor on the database file is ever opened: closing one would drop the POSIX locks of all connections here.

mod batch;
mod checkpoint;
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
mod writer;

pub use error::{OpenError, ReadError, WriteError};
pub use handle::Store;
pub use job::Tx;
pub use lock::OfdLock;
pub use options::{Admission, Options, PoisonHook, Schema, Verify};

#[cfg(test)]
mod tests;
