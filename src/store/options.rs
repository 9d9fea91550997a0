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
    /// Each takes the file from `user_version` n to n + 1. Only ever appended to.
    pub migrations: &'static [&'static str],
}

impl Schema {
    /// The `user_version` of a file on which all migrations ran.
    #[must_use]
    pub fn version(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

/// Called once, with the reason, when the file can no longer be trusted by this process: it must exit and be replaced.
pub type PoisonHook = Arc<dyn Fn(String) + Send + Sync>;

/// Where a store is, and its limits.
#[derive(Clone)]
pub struct Options {
    /// The database file. `<path>-wal`, `<path>-shm` and `<path>.lock` lie beside it.
    pub path: PathBuf,
    /// Writes accepted and not yet answered, beyond which [`Admission::New`] is refused with `Busy`. The same bound holds for
    /// reads.
    pub queue_depth: usize,
    /// Where the writer thread beats.
    pub cell: Cell,
    /// Told once, from the writer thread, when an fsync failed or a page was found corrupt.
    pub on_poison: PoisonHook,
    /// How much of the file is looked at before it is used.
    pub verify: Verify,
}

impl Options {
    /// With the usual limits: 1024 waiting writes, header check only, and poison that does nothing but refuse.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, cell: Cell) -> Options {
        Options {
            path: path.as_ref().to_owned(),
            queue_depth: 1024,
            cell,
            on_poison: Arc::new(|_reason| ()),
            verify: Verify::Header,
        }
    }
}

/// How much of a file is looked at before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The header, the schema and the versions: below a millisecond, for a worker that replaces a dead one.
    Header,
    /// And every page (`PRAGMA quick_check`): time grows with the file. For the first worker of a new master.
    Pages,
}

/// Whether a write may be turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// New work: refused with `Busy` when the queue is at its depth, so that its caller can say 503.
    New,
    /// A step of work that was admitted before: never refused for want of room. Bounded by the number of live sagas.
    Continue,
}
