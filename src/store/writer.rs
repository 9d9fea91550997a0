//! The one thread of this process that writes this file: wait for jobs, lock, take all jobs, run, commit,
//! unlock, answer. It must not know what jobs do; what a failure means is decided in [`super::batch`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::batch::{self, FinishedJob, NotBegun};
use super::checkpoint::Checkpointer;
use super::disk_space::DiskSpace;
use super::file_identity::KnownFiles;
use super::integrity::IntegrityMark;
use super::job::{TxOutcome, WriteJob, panic_text};
use super::lock::OfdLock;
use super::lock_wait::LockWait;
use super::options::{PoisonHook, SignalHook};
use super::queue::{NextWork, WriteQueue};
use crate::scoreboard::Cell;

/// Jobs of one transaction at most. Bounds how long one process keeps the others waiting.
const MOST_JOBS: usize = 256;

/// How long another program's transaction may take before writes are refused.
const OTHER_PROGRAM_LIMIT: Duration = Duration::from_secs(5);
/// Between two tries while another program writes.
const OTHER_PROGRAM_RETRY: Duration = Duration::from_millis(20);

/// How long a writer thread that ends waits for the lock to close the file: for a sibling's last batches,
/// which a busy disk may take long to write.
const CLOSE_LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two tries to take the lock for closing.
const CLOSE_LOCK_RETRY: Duration = Duration::from_millis(1);

/// What the writer thread owns.
pub(super) struct WriterThread {
    pub(super) connection: Connection,
    pub(super) lock: OfdLock,
    pub(super) queue: Arc<WriteQueue>,
    pub(super) cell: Cell,
    pub(super) on_poison: PoisonHook,
    pub(super) on_signal: SignalHook,
    pub(super) commits: Arc<AtomicU64>,
    pub(super) disk_space: Arc<DiskSpace>,
    pub(super) lock_wait: Arc<LockWait>,
    pub(super) files: KnownFiles,
    pub(super) checkpointer: Checkpointer,
}

impl WriterThread {
    /// The body of the thread. Returns when the queue is closed and empty, or the file can no longer be
    /// trusted.
    pub(super) fn run(mut self) {
        self.cell.guards(&self.lock.as_fd());
        let (queue, on_poison) = (Arc::clone(&self.queue), Arc::clone(&self.on_poison));
        let path = self.connection.path().map(PathBuf::from);
        let end = catch_unwind(AssertUnwindSafe(|| self.run_batches()));
        let reason = match end {
            Ok(None) => return self.close(),
            Ok(Some(reason)) => reason,
            Err(payload) => format!("the writer panicked: {}", panic_text(payload.as_ref())),
        };
        if let Some(path) = path.filter(|path| path.exists()) {
            IntegrityMark::mark_suspect(&path);
        }
        let outcome = TxOutcome::Poisoned(reason.clone());
        for job in queue.poison(reason.clone()) {
            job.answer(&outcome);
        }
        on_poison(reason);
    }

    /// Processes close the file one after the other. Two that close it at the same moment would each believe
    /// that the other still has it open, and the WAL would be left behind.
    fn close(self) {
        let WriterThread {
            connection,
            lock,
            checkpointer,
            ..
        } = self;
        // Its connection would be one that has the file open still.
        checkpointer.join_copying();
        let until = Instant::now() + CLOSE_LOCK_TIMEOUT;
        // OFD locks have no wait with a time-out, and another program that holds the lock must not delay a
        // stop.
        while !lock.try_take().unwrap_or(true) && Instant::now() < until {
            std::thread::sleep(CLOSE_LOCK_RETRY);
        }
        drop(connection);
        drop(lock);
    }

    fn run_batches(&mut self) -> Option<String> {
        let (mut jobs, mut ran) = (Vec::with_capacity(MOST_JOBS), Vec::with_capacity(MOST_JOBS));
        let mut waits_since = None;
        self.copy_the_wal();
        loop {
            match self.queue.wait(self.checkpointer.deadline()) {
                NextWork::Jobs => {}
                NextWork::Maintenance => match self.shorten_the_wal() {
                    Ok(()) => continue,
                    Err(reason) => return Some(reason),
                },
                NextWork::Nothing => return None,
            }
            let Some(outcome) = self.run_batch(&mut jobs, &mut ran, waits_since) else {
                let since = *waits_since.get_or_insert_with(Instant::now);
                self.wait_for_other_program(since);
                continue;
            };
            if outcome != TxOutcome::OtherProgram {
                // After a refusal later jobs wait no more, until the program has finished.
                waits_since = None;
            }
            self.note_disk_space(&outcome, &ran);
            if outcome == TxOutcome::Committed && ran.iter().any(FinishedJob::signals) {
                (self.on_signal)();
            }
            self.queue.answered(ran.len());
            ran.drain(..).for_each(|job: FinishedJob| job.answer(&outcome));
            self.queue.put_back(jobs.drain(..));
            if let TxOutcome::Poisoned(reason) = outcome {
                return Some(reason);
            }
            self.copy_the_wal();
        }
    }

    fn copy_the_wal(&mut self) {
        let disk_space = &self.disk_space;
        let is_tight = self.checkpointer.is_long() && !disk_space.has_headroom();
        self.checkpointer
            .set_needs_space(disk_space.is_stalled() || is_tight);
        self.checkpointer
            .between_batches(&self.connection, |bytes| disk_space.has(bytes));
        disk_space.set_owed(self.checkpointer.owed_bytes(&self.connection));
    }

    /// What batches do for the WAL, done while nobody writes. The reason why the file can no longer be
    /// trusted, if that happens.
    fn shorten_the_wal(&mut self) -> Result<(), String> {
        self.cell.stamp();
        self.copy_the_wal();
        if !self.checkpointer.wants_the_lock() {
            return Ok(());
        }
        self.cell.lock_taken();
        // A process that holds the lock writes, and shortens the WAL itself.
        let released = if self.lock.try_take().unwrap_or(false) {
            self.checkpointer
                .under_the_lock(&self.connection, || self.cell.stamp());
            self.cell.stamp();
            self.lock.release()
        } else {
            Ok(())
        };
        self.cell.lock_released();
        released.map_err(not_released)
    }

    /// One transaction under the lock; `None` while another program writes the file and may still finish in
    /// time.
    fn run_batch(
        &mut self,
        jobs: &mut Vec<Box<dyn WriteJob>>,
        ran: &mut Vec<FinishedJob>,
        waits_since: Option<Instant>,
    ) -> Option<TxOutcome> {
        if let Err(error) = self.take_lock() {
            self.cell.lock_released();
            self.queue.drain_into(jobs, MOST_JOBS);
            let outcome = TxOutcome::Failed(format!("the write lock could not be taken: {error}"));
            return Some(batch::fail_all(jobs, ran, outcome));
        }
        if let Some(reason) = self.files.changed() {
            self.queue.drain_into(jobs, MOST_JOBS);
            return Some(batch::fail_all(jobs, ran, TxOutcome::Poisoned(reason)));
        }
        self.checkpointer
            .under_the_lock(&self.connection, || self.cell.stamp());
        let begun = if self.disk_space.has_reserve() {
            batch::begin(&self.connection)
        } else {
            Err(NotBegun::Failed(TxOutcome::WalKept))
        };
        let may_finish = waits_since.is_none_or(|since| since.elapsed() < OTHER_PROGRAM_LIMIT);
        let outcome = match begun {
            Err(NotBegun::OtherProgram) if may_finish => None,
            Err(NotBegun::OtherProgram) => {
                self.queue.drain_into(jobs, MOST_JOBS);
                Some(batch::fail_all(jobs, ran, TxOutcome::OtherProgram))
            }
            Err(NotBegun::Failed(outcome)) => {
                self.queue.drain_into(jobs, MOST_JOBS);
                Some(batch::fail_all(jobs, ran, outcome))
            }
            Ok(()) => Some(self.transact(jobs, ran)),
        };
        self.cell.stamp();
        match self.lock.release() {
            Ok(()) => {
                self.cell.lock_released();
                outcome
            }
            Err(error) => Some(TxOutcome::Poisoned(not_released(error))),
        }
    }

    fn transact(&mut self, jobs: &mut Vec<Box<dyn WriteJob>>, ran: &mut Vec<FinishedJob>) -> TxOutcome {
        // The queue is drained only now, so that jobs that arrived during the wait are in this transaction.
        self.queue.drain_into(jobs, MOST_JOBS);
        let outcome = batch::run(&self.connection, jobs, ran);
        if outcome == TxOutcome::Committed {
            self.commits.fetch_add(1, Ordering::Release);
        }
        outcome
    }

    fn note_disk_space(&self, outcome: &TxOutcome, ran: &[FinishedJob]) {
        let alone = ran.iter().find_map(FinishedJob::stalled);
        match outcome.stall().or(alone) {
            Some(stall) => self.disk_space.write_failed(stall),
            None => self.disk_space.write_succeeded(),
        }
    }

    /// The end of another program's transaction gives no event, so it is polled for. Nothing is locked
    /// meanwhile, and the thread does not count as late.
    fn wait_for_other_program(&self, since: Instant) {
        if since.elapsed() < OTHER_PROGRAM_RETRY {
            tracing::warn!("another program writes the database; waiting for it");
        }
        self.cell.idle();
        std::thread::sleep(OTHER_PROGRAM_RETRY);
        self.cell.stamp();
    }

    fn take_lock(&self) -> std::io::Result<()> {
        // Marked before the lock is taken: a process that is stopped just after it got the lock must be found
        // to hold it.
        self.cell.stamp();
        self.cell.lock_taken();
        if !self.lock.try_take()? {
            // The master judges the process that holds the lock; the one that waits for it is not late.
            self.cell.idle();
            self.lock_wait.begin();
            let taken = self.lock.take();
            self.lock_wait.end();
            taken?;
            self.cell.lock_taken();
            self.cell.stamp();
        }
        Ok(())
    }
}

fn not_released(error: std::io::Error) -> String {
    format!("the write lock could not be released: {error}")
}
