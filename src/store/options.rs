//! What a store is opened with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::scoreboard::Cell;

/// The tables of one file, and how they came to be.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The service's name, for messages and thread names (`orders`).
    pub name: &'static str,
    /// SQLite's `application_id`: tells our file from a foreign one. Never 0.
    pub application_id: i32,
    /// Each takes the file from `user_version` n to n + 1. Migrations are only ever appended.
    pub migrations: &'static [&'static str],
}

impl Schema {
    /// The `user_version` of a file on which all migrations ran.
    #[must_use]
    pub fn version(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

/// Called once, with the reason, when the file can no longer be trusted by this process: it must exit and be
/// replaced.
pub type PoisonHook = Arc<dyn Fn(String) + Send + Sync>;

/// Called in the writer thread after a commit with a job that asked for it
/// ([`Tx::signal_after_commit`](super::Tx::signal_after_commit)), before anybody is answered. It must not
/// block.
pub type SignalHook = Arc<dyn Fn() + Send + Sync>;

/// SQLite needs some tens of KB, a job's own frames (unoptimised, serde) the rest; only touched pages use
/// memory.
pub(super) const STACK_BYTES: usize = 512 * 1024;

/// Where a store lies, and its limits.
#[derive(Clone)]
pub struct StoreOptions {
    /// The database file. `<path>-wal`, `<path>-shm` and `<path>.lock` lie beside it.
    pub path: PathBuf,
    /// How many writes may be accepted and not yet answered before [`Admission::New`] is refused with `Busy`.
    /// The same bound holds for reads.
    pub queue_depth: usize,
    /// The cell of the scoreboard in which the writer thread beats.
    pub cell: Cell,
    /// Called once, in the writer thread, when an fsync failed or a page was found corrupt.
    pub on_poison: PoisonHook,
    /// Called after a commit that readers wait for.
    pub on_signal: SignalHook,
    /// How much of the file is checked before it is used.
    pub verify: Verify,
}

impl StoreOptions {
    /// The usual limits: 1024 waiting writes, a check of the header only, and hooks that do nothing.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, cell: Cell) -> StoreOptions {
        StoreOptions {
            path: path.as_ref().to_owned(),
            queue_depth: 1024,
            cell,
            on_poison: Arc::new(|_reason| ()),
            on_signal: Arc::new(|| ()),
            verify: Verify::Header,
        }
    }
}

/// How much of a file is checked before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The header, the schema and the versions. Takes less than a millisecond, for a worker that replaces a
    /// dead one.
    Header,
    /// The same and every page (`PRAGMA quick_check`). Takes longer the larger the file is, for the first
    /// worker of a new master.
    Pages,
}

/// Whether a write may be refused when many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// New work: refused with `Busy` when the queue is at its depth, so that the caller can answer 503.
    New,
    /// A step of work that was admitted before: never refused because many wait. The number of live sagas
    /// bounds it.
    Continue,
}
