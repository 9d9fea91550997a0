//! Keeps the WAL short. This module looks at the WAL's length alone and must not know what is written;
//! [`checkpoint_policy`](super::checkpoint_policy) decides when something is done.
//!
//! SQLite starts the WAL from its beginning again when a writer finds that every frame is in the database
//! file and that no reader uses the WAL. Under constant load that moment never comes by itself, so it is
//! made: most frames are copied without the write lock (other processes go on writing), and the few frames
//! that came meanwhile are copied under the write lock just before the next batch, which then starts from the
//! beginning. SQLite's own checkpoint lock elects one process for the first part; the others find it taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::checkpoint_policy::{CheckpointPolicy, Finish, WalProgress};
use super::filesystem::beside;
use super::open;
use super::options::STACK_BYTES;

/// How long one try to begin the WAL again waits for readers. A longer wait is several tries, between which
/// the thread shows that it lives.
const READERS_WAIT: Duration = Duration::from_millis(50);
/// Between two looks at a thread that copies a long WAL.
const COPYING_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;
/// Bytes of a frame in the WAL: a page and its header.
const FRAME_BYTES: u64 = PAGE_BYTES + 24;
/// Stands for no commit since the last look.
const NO_COMMIT: usize = usize::MAX;

/// The writer thread's view of the WAL.
pub(super) struct Checkpointer {
    name: &'static str,
    database: PathBuf,
    committed: Arc<AtomicUsize>,
    policy: CheckpointPolicy,
    copying: Option<JoinHandle<Option<WalProgress>>>,
}

impl Checkpointer {
    /// Watches the commits of `connection`. This replaces SQLite's automatic checkpoint, which would run
    /// inside COMMIT.
    pub(super) fn watch(
        name: &'static str,
        database: &Path,
        connection: &mut Connection,
    ) -> rusqlite::Result<Checkpointer> {
        let committed = Arc::new(AtomicUsize::new(NO_COMMIT));
        let seen = Arc::clone(&committed);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let bytes = beside(database, "-wal").metadata().map_or(0, |wal| wal.len());
        let frames = usize::try_from(bytes / FRAME_BYTES).unwrap_or(0);
        Ok(Checkpointer {
            name,
            database: database.to_owned(),
            committed,
            policy: CheckpointPolicy::opened(frames, Instant::now()),
            copying: None,
        })
    }

    /// When something is to be done although nobody writes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.copying {
            Some(_) => Some(now + COPYING_INTERVAL),
            None => self.policy.deadline(now),
        }
    }

    /// Whether the WAL takes more space than usual.
    pub(super) fn is_long(&self) -> bool {
        self.policy.is_long()
    }

    /// Whether the disk needs the space of the WAL.
    pub(super) fn set_needs_space(&mut self, needs_space: bool) {
        self.policy.set_needs_space(needs_space, Instant::now());
    }

    /// By how many bytes the database file grows when the WAL is copied into it, where that cannot be done
    /// now.
    pub(super) fn owed_bytes(&self, connection: &Connection) -> Option<u64> {
        self.policy.is_blocked().then(|| self.growth(connection))
    }

    /// Between batches, without the write lock.
    pub(super) fn between_batches(&mut self, connection: &Connection, has_space: impl FnOnce(u64) -> bool) {
        self.note_commits();
        if let Some(copying) = self.copying.take_if(|copying| copying.is_finished()) {
            // A thread that panicked copied nothing.
            self.policy.tried(copying.join().ok().flatten(), Instant::now());
        }
        if self.copying.is_some() || !self.policy.is_due(Instant::now()) {
            return;
        }
        if !has_space(self.growth(connection)) {
            // It would take the last of the space and fail.
            self.policy.tried(None, Instant::now());
        } else if self.policy.is_long_work() {
            self.copy_in_a_thread();
        } else {
            self.policy.tried(passive(connection), Instant::now());
        }
    }

    /// Whether there is something to do under the write lock.
    pub(super) fn wants_the_lock(&self) -> bool {
        self.policy.wants_finish()
    }

    /// Before a batch, under the write lock. `beat` is called while readers are waited for.
    pub(super) fn under_the_lock(&mut self, connection: &Connection, beat: impl Fn()) {
        let Some(finish) = self.policy.take_finish() else {
            return;
        };
        let found = match finish {
            Finish::Copy => passive(connection),
            Finish::Truncate => truncate(connection, self.policy.readers_wait(), beat),
        };
        self.policy.finished(finish, found, Instant::now());
    }

    /// Waits for a thread that copies a long WAL.
    pub(super) fn join_copying(self) {
        if let Some(copying) = self.copying {
            // The store closes; what the thread found out is of no use any more.
            drop(copying.join());
        }
    }

    fn note_commits(&mut self) {
        match self.committed.swap(NO_COMMIT, Ordering::Relaxed) {
            NO_COMMIT => {}
            frames => self.policy.grown_to(frames),
        }
    }

    fn growth(&self, connection: &Connection) -> u64 {
        let pages = connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
        let bytes = pages.unwrap_or(0).unsigned_abs() * PAGE_BYTES;
        let on_disk = self.database.metadata().map_or(0, |file| file.len());
        bytes.saturating_sub(on_disk)
    }

    /// A WAL of gigabytes takes longer than this thread may be silent and its callers may wait.
    fn copy_in_a_thread(&mut self) {
        let database = self.database.clone();
        let copy = move || passive(&open::connect(&database).ok()?);
        let thread = std::thread::Builder::new()
            .name(format!("{}-copy", self.name))
            .stack_size(STACK_BYTES)
            .spawn(copy);
        match thread {
            Ok(thread) => self.copying = Some(thread),
            Err(_) => self.policy.tried(None, Instant::now()),
        }
    }
}

/// Copies what can be copied without waiting. `None` when another process is copying already, or the disk
/// failed: the frames stay in the WAL then, and a later try copies them.
fn passive(connection: &Connection) -> Option<WalProgress> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Waits for readers, copies everything, and truncates the WAL. Readers that come once everything is copied
/// use the database file alone, so only those that were there before are waited for.
fn truncate(connection: &Connection, wait: Duration, beat: impl Fn()) -> Option<WalProgress> {
    connection.busy_timeout(READERS_WAIT).ok()?;
    let until = Instant::now() + wait;
    // As in `passive`: a reader that stays only delays it.
    let mut found = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    while found.is_some_and(|found| found.frames > 0) && Instant::now() < until {
        beat();
        found = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    // Setting a timeout only stores a number, which cannot fail on an open connection.
    connection
        .busy_timeout(open::OTHER_PROGRAM_TIMEOUT)
        .unwrap_or_default();
    found
}

/// SQLite answers -1 frames when it did not come to copying.
fn checkpoint(connection: &Connection, sql: &str) -> Option<WalProgress> {
    let mut statement = connection.prepare_cached(sql).ok()?;
    let (frames, copied): (i64, i64) = statement
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
        .ok()?;
    Some(WalProgress {
        frames: usize::try_from(frames).ok()?,
        copied: usize::try_from(copied).ok()?,
    })
}
