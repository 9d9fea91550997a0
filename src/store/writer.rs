//! The one thread of this process that writes this file: wait, lock, take all that waits, run, commit, unlock, answer.
//! Must not know what jobs do; what a failure means is [`super::batch`]'s.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::batch::{self, NotBegun, RanJob};
use super::checkpoint::Checkpointer;
use super::disk_space::Room;
use super::file_identity::Anchor;
use super::integrity::Seal;
use super::job::{Fate, Job, panic_text};
use super::lock::OfdLock;
use super::lock_wait::Patience;
use super::options::PoisonHook;
use super::queue::Queue;
use crate::scoreboard::Cell;

/// Jobs of one transaction, at most: bounds how long one process keeps the others waiting.
const MOST_JOBS: usize = 256;

/// A stranger's transaction may take this long before writes are refused,
const STRANGERS_SHARE: Duration = Duration::from_secs(5);
/// and is asked after this often.
const STRANGERS_PAUSE: Duration = Duration::from_millis(20);

/// So long a writer that ends waits for its turn to close the file,
const CLOSING_SHARE: Duration = Duration::from_millis(500);
/// and asks for it this often.
const CLOSING_PAUSE: Duration = Duration::from_millis(1);

/// What the thread owns.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) lock: OfdLock,
    pub(super) queue: Arc<Queue>,
    pub(super) cell: Cell,
    pub(super) on_poison: PoisonHook,
    pub(super) commits: Arc<AtomicU64>,
    pub(super) room: Arc<Room>,
    pub(super) patience: Arc<Patience>,
    pub(super) anchor: Anchor,
    pub(super) checkpointer: Checkpointer,
}

impl Writer {
    /// The thread. Ends when the queue is closed and empty, or the file can no longer be trusted.
    pub(super) fn run(mut self) {
        self.cell.guards(&self.lock.as_fd());
        let (queue, on_poison) = (Arc::clone(&self.queue), Arc::clone(&self.on_poison));
        let path = self.connection.path().map(PathBuf::from);
        let end = catch_unwind(AssertUnwindSafe(|| self.rounds()));
        let reason = match end {
            Ok(None) => return self.close(),
            Ok(Some(reason)) => reason,
            Err(payload) => format!("the writer panicked: {}", panic_text(payload.as_ref())),
        };
        if let Some(path) = path.filter(|path| path.exists()) {
            Seal::break_for(&path);
        }
        let fate = Fate::Poisoned(reason.clone());
        for job in queue.poison(fate.clone()) {
            job.answer(&fate);
        }
        on_poison(reason);
    }

    /// One process after the other: two that close a file at the same moment would each take the other for still there, and the
    /// WAL would be left behind.
    fn close(self) {
        let Writer { connection, lock, .. } = self;
        let until = Instant::now() + CLOSING_SHARE;
        // These locks know no wait with an end, and a stranger who sits on one must not hold up a stop.
        while !lock.try_take().unwrap_or(true) && Instant::now() < until {
            std::thread::sleep(CLOSING_PAUSE);
        }
        drop(connection);
        drop(lock);
    }

    fn rounds(&mut self) -> Option<String> {
        let (mut jobs, mut ran) = (Vec::with_capacity(MOST_JOBS), Vec::with_capacity(MOST_JOBS));
        let mut waits_since = None;
        while self.queue.wait() {
            let Some(fate) = self.round(&mut jobs, &mut ran, waits_since) else {
                let since = *waits_since.get_or_insert_with(Instant::now);
                self.wait_for_the_stranger(since);
                continue;
            };
            waits_since = None;
            self.note_room(&fate, &ran);
            self.queue.answered(ran.len());
            ran.drain(..).for_each(|job: RanJob| job.answer(&fate));
            self.queue.put_back(jobs.drain(..));
            if let Fate::Poisoned(reason) = fate {
                return Some(reason);
            }
            self.checkpointer.between_batches(&self.connection);
        }
        None
    }

    /// One transaction under the lock; `None` when a stranger writes the file, who may yet finish.
    fn round(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        ran: &mut Vec<RanJob>,
        waits_since: Option<Instant>,
    ) -> Option<Fate> {
        if let Err(error) = self.take_lock() {
            self.cell.lock_released();
            self.queue.drain_into(jobs, MOST_JOBS);
            let fate = Fate::Failed(format!("the write lock could not be taken: {error}"));
            return Some(batch::none(jobs, ran, fate));
        }
        if let Some(reason) = self.anchor.torn() {
            self.queue.drain_into(jobs, MOST_JOBS);
            return Some(batch::none(jobs, ran, Fate::Poisoned(reason)));
        }
        self.checkpointer.under_the_lock(&self.connection);
        let begun = batch::begin(&self.connection);
        let may_finish = waits_since.is_none_or(|since| since.elapsed() < STRANGERS_SHARE);
        let fate = match begun {
            Err(NotBegun::Stranger) if may_finish => None,
            Err(NotBegun::Stranger) => {
                self.queue.drain_into(jobs, MOST_JOBS);
                let reason = "another program has been writing the database for too long";
                Some(batch::none(jobs, ran, Fate::Failed(reason.to_owned())))
            }
            Err(NotBegun::Failed(fate)) => {
                self.queue.drain_into(jobs, MOST_JOBS);
                Some(batch::none(jobs, ran, fate))
            }
            Ok(()) => Some(self.transact(jobs, ran)),
        };
        self.cell.stamp();
        match self.lock.release() {
            Ok(()) => {
                self.cell.lock_released();
                fate
            }
            Err(error) => {
                let reason = format!("the write lock could not be released: {error}");
                Some(Fate::Poisoned(reason))
            }
        }
    }

    fn transact(&mut self, jobs: &mut Vec<Box<dyn Job>>, ran: &mut Vec<RanJob>) -> Fate {
        // Drained only now, so that whatever arrived during the wait rides along.
        self.queue.drain_into(jobs, MOST_JOBS);
        let fate = batch::run(&self.connection, jobs, ran);
        if fate == Fate::Committed {
            self.commits.fetch_add(1, Ordering::Release);
        }
        fate
    }

    fn note_room(&self, fate: &Fate, ran: &[RanJob]) {
        let alone = ran.iter().find_map(RanJob::stalled);
        match fate.stall().or(alone) {
            Some(why) => self.room.is_short(&why),
            None => self.room.was_there(),
        }
    }

    /// There is no event for the end of a stranger's transaction. Nothing is locked meanwhile, and nobody is late.
    fn wait_for_the_stranger(&self, since: Instant) {
        if since.elapsed() < STRANGERS_PAUSE {
            tracing::warn!("another program writes the database; waiting for it");
        }
        self.cell.idle();
        std::thread::sleep(STRANGERS_PAUSE);
        self.cell.stamp();
    }

    fn take_lock(&self) -> std::io::Result<()> {
        // Marked before it is had: a process that is stopped when it has just got the lock must be found to hold it.
        self.cell.stamp();
        self.cell.lock_taken();
        if !self.lock.try_take()? {
            // Whoever holds the lock is looked at; the one who waits for it is not late.
            self.cell.idle();
            self.patience.waits(Some(Instant::now()));
            let taken = self.lock.take();
            self.patience.waits(None);
            taken?;
            self.cell.lock_taken();
            self.cell.stamp();
        }
        Ok(())
    }
}
