//! Keeps the WAL short. This module decides by the WAL's length alone and must not know what is written.
//!
//! SQLite starts the WAL from its beginning again when a writer finds that every frame is in the database
//! file and that no reader uses the WAL. Under constant load that moment never comes by itself, so it is
//! made: most frames are copied without the write lock (other processes go on writing), and the few frames
//! that came meanwhile are copied under the write lock just before the next batch, which then starts from the
//! beginning. SQLite's own checkpoint lock elects one process for the first part; the others find it taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// From this many frames on (2 MB) a checkpoint begins. The number bounds what a worker must read to open the
/// file after a crash: four such files open again in 3 ms. Measured with 2 processes and 64 orders in flight
/// each: 250 to 1,000 frames give the same orders/s within the noise, 4,000 frames a tenth more; a checkpoint
/// wholly under the write lock gives the same orders/s at a p99 a tenth longer.
const SOFT_FRAMES: usize = 500;
/// From this many frames on (32 MB) the checkpoint waits for readers, because a reader keeps the WAL from
/// starting again, and the file is truncated.
const HARD_FRAMES: usize = 16 * SOFT_FRAMES;
/// How long all writes wait for a reader at worst: well below the time after which the holder of a lock is
/// killed.
const READERS_WAIT: Duration = Duration::from_millis(50);

/// When to try a checkpoint, by the WAL's length. After a try that a reader made useless, the next follows
/// only when the WAL has grown by a good part again; otherwise a long reader would make every commit pay for
/// a checkpoint.
#[derive(Debug)]
struct CheckpointPolicy {
    next_at: usize,
}

impl CheckpointPolicy {
    fn is_due(&mut self, frames: usize) -> bool {
        if frames < SOFT_FRAMES {
            self.next_at = SOFT_FRAMES;
        }
        if frames < self.next_at {
            return false;
        }
        self.next_at = frames
            + if frames < HARD_FRAMES {
                SOFT_FRAMES / 2
            } else {
                HARD_FRAMES / 4
            };
        true
    }
}

/// What the next batch has to do for the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckpointPhase {
    /// The WAL is short.
    Idle,
    /// Most frames were copied; the rest is to be copied under the write lock.
    Finish,
}

/// The writer thread's view of the WAL.
pub(super) struct Checkpointer {
    frames: Arc<AtomicUsize>,
    policy: CheckpointPolicy,
    phase: CheckpointPhase,
}

impl Checkpointer {
    /// Watches the commits of `connection`. This replaces SQLite's automatic checkpoint, which would run
    /// inside COMMIT.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Checkpointer> {
        let frames = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&frames);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Checkpointer {
            frames,
            policy: CheckpointPolicy { next_at: SOFT_FRAMES },
            phase: CheckpointPhase::Idle,
        })
    }

    /// Between batches, without the write lock.
    pub(super) fn between_batches(&mut self, connection: &Connection) {
        if self.policy.is_due(self.frames.load(Ordering::Relaxed)) && passive(connection) {
            self.phase = CheckpointPhase::Finish;
        }
    }

    /// Before a batch, under the write lock.
    pub(super) fn under_the_lock(&mut self, connection: &Connection) {
        if self.phase == CheckpointPhase::Idle {
            return;
        }
        self.phase = CheckpointPhase::Idle;
        if self.frames.load(Ordering::Relaxed) >= HARD_FRAMES {
            truncate(connection);
        } else {
            passive(connection);
        }
    }
}

/// Copies what can be copied without waiting. `false` when another process is copying already.
fn passive(connection: &Connection) -> bool {
    // An error here loses nothing: the frames stay in the WAL, and a later commit tries again.
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").unwrap_or(false)
}

/// Waits a moment for readers, copies everything, and truncates the WAL.
fn truncate(connection: &Connection) {
    if connection.busy_timeout(READERS_WAIT).is_ok() {
        // As in `passive`: a reader that stays only delays it.
        checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").unwrap_or(false);
    }
    // Setting a timeout only stores a number, which cannot fail on an open connection.
    connection
        .busy_timeout(super::open::OTHER_PROGRAM_TIMEOUT)
        .unwrap_or_default();
}

fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(row.get::<_, i64>(0)? == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_wal_is_left_alone_and_a_long_one_is_tried_once_per_growth() {
        let mut policy = CheckpointPolicy { next_at: SOFT_FRAMES };
        assert!(!policy.is_due(SOFT_FRAMES - 1));
        assert!(policy.is_due(SOFT_FRAMES));
        assert!(!policy.is_due(SOFT_FRAMES + 1), "a reader stands on it");
        assert!(policy.is_due(SOFT_FRAMES + SOFT_FRAMES / 2));
        assert!(!policy.is_due(10), "it began again");
        assert!(policy.is_due(SOFT_FRAMES));
    }

    #[test]
    fn past_the_hard_length_writers_are_held_up_less_often() {
        let mut policy = CheckpointPolicy { next_at: SOFT_FRAMES };
        assert!(policy.is_due(HARD_FRAMES));
        assert!(!policy.is_due(HARD_FRAMES + SOFT_FRAMES));
        assert!(policy.is_due(HARD_FRAMES + HARD_FRAMES / 4));
    }
}
