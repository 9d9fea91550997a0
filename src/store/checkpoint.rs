//! Keeps the WAL short. It decides by the WAL's length alone; must not know what is written.
//!
//! SQLite starts the WAL from its beginning again when a writer finds every frame of it in the database file and no reader on
//! it. Under constant load that moment never comes by itself, so it is made: the bulk is copied without any lock (siblings go
//! on writing), and the few frames that came meanwhile are copied under the write lock just before the next batch, which then
//! starts from the beginning. SQLite's own checkpoint lock elects one process for the first part; the others find it taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;

/// Past this many frames a checkpoint begins. Bounds what a worker must read to open the file after a crash.
pub(super) const SOFT_FRAMES: usize = 500;
/// Past this many, readers are waited for (they keep the WAL from starting again) and the file is cut.
pub(super) const HARD_FRAMES: usize = 16 * SOFT_FRAMES;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The WAL is short.
    Rest,
    /// The bulk was copied: the rest follows under the write lock.
    Finish,
}

/// The writer thread's view of the WAL.
pub(super) struct Checkpointer {
    frames: Arc<AtomicUsize>,
    phase: Phase,
}

impl Checkpointer {
    /// Watches the commits of `connection`; this replaces SQLite's automatic checkpoint, which would run inside COMMIT.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Checkpointer> {
        let frames = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&frames);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Checkpointer {
            frames,
            phase: Phase::Rest,
        })
    }

    /// Between batches, without the write lock.
    pub(super) fn between_batches(&mut self, connection: &Connection) {
        if self.phase == Phase::Rest
            && self.frames.load(Ordering::Relaxed) >= SOFT_FRAMES
            && passive(connection)
        {
            self.phase = Phase::Finish;
        }
    }

    /// Before a batch, under the write lock.
    pub(super) fn under_the_lock(&mut self, connection: &Connection) {
        if self.phase == Phase::Rest {
            return;
        }
        self.phase = Phase::Rest;
        if self.frames.load(Ordering::Relaxed) >= HARD_FRAMES {
            truncate(connection);
        } else {
            passive(connection);
        }
    }
}

/// Copies what it can without waiting for anyone. Whether it was its turn: another process may be at it.
fn passive(connection: &Connection) -> bool {
    // An error here loses nothing: the frames stay in the WAL, and the next commit tries again.
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").unwrap_or(false)
}

/// Waits a moment for readers, copies everything, and gives the file's length back to the disk.
fn truncate(connection: &Connection) {
    let wait = |ms| connection.busy_timeout(std::time::Duration::from_millis(ms));
    if wait(READERS_WAIT_MS).is_ok() {
        checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").unwrap_or(false);
    }
    // Setting a timeout only stores a number.
    drop(wait(super::open::BUSY_TIMEOUT_MS));
}

/// Everyone's writes wait as long as this for a reader, at worst: well below the time after which a lock's holder is killed.
const READERS_WAIT_MS: u64 = 50;

fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(row.get::<_, i64>(0)? == 0))
}
