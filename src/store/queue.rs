//! The jobs that wait for the writer thread: bounded, and honest about whether anything is being worked on.
//! The queue alone decides when the thread's cell is idle, so that an idle store wakes nobody and a stuck one
//! is seen.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::job::WriteJob;
use super::options::Admission;
use crate::scoreboard::Cell;

/// Why a job was not accepted.
#[derive(Clone)]
pub(super) enum NotQueued {
    /// The queue is at its depth.
    Busy,
    /// The queue was closed.
    Closed,
    /// The store is poisoned, for this reason.
    Poisoned(String),
}

/// Jobs that were accepted and not answered yet.
pub(super) struct WriteQueue {
    state: Mutex<QueueState>,
    woken: Condvar,
    depth: usize,
    cell: Cell,
}

struct QueueState {
    waiting: VecDeque<Box<dyn WriteJob>>,
    accepted: usize,
    writer: WriterState,
    end: Option<NotQueued>,
}

/// What the writer thread does when a job arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterState {
    /// It is at work and will find the job.
    Awake,
    /// It sleeps: the caller must wake it soon. Every caller that finds it asleep must, not only the first
    /// one, which may be slow.
    Asleep,
}

/// What the writer thread has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextWork {
    /// Jobs wait.
    Jobs,
    /// No job waits, and the deadline is over.
    Maintenance,
    /// No job waits, and none will come: the thread ends.
    Nothing,
}

impl WriteQueue {
    pub(super) fn new(depth: usize, cell: Cell) -> WriteQueue {
        let state = QueueState {
            waiting: VecDeque::new(),
            accepted: 0,
            writer: WriterState::Awake,
            end: None,
        };
        WriteQueue {
            state: Mutex::new(state),
            woken: Condvar::new(),
            depth,
            cell,
        }
    }

    /// Accepts a job. A writer thread that sleeps is not woken here: the caller that brings the first job may
    /// wait for callers that bring more.
    pub(super) fn submit(
        &self,
        admission: Admission,
        job: Box<dyn WriteJob>,
    ) -> Result<WriterState, NotQueued> {
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        if admission == Admission::New && state.accepted >= self.depth {
            return Err(NotQueued::Busy);
        }
        state.accepted += 1;
        state.waiting.push_back(job);
        Ok(state.writer)
    }

    /// Wakes the writer thread, if it still sleeps and a job waits.
    pub(super) fn wake(&self) {
        let mut state = self.state();
        if state.writer == WriterState::Asleep && !state.waiting.is_empty() {
            state.writer = WriterState::Awake;
            self.cell.stamp();
            self.woken.notify_one();
        }
    }

    /// Blocks until a job waits, until no job waits and none will come, or until `deadline`.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> NextWork {
        let mut state = self.state();
        let mut next = NextWork::Jobs;
        while state.waiting.is_empty() && next == NextWork::Jobs {
            self.cell.idle();
            if state.end.is_some() {
                return NextWork::Nothing;
            }
            state.writer = WriterState::Asleep;
            (state, next) = self.sleep(state, deadline);
        }
        state.writer = WriterState::Awake;
        next
    }

    fn sleep<'a>(
        &'a self,
        state: MutexGuard<'a, QueueState>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, QueueState>, NextWork) {
        let Some(deadline) = deadline else {
            let state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
            return (state, NextWork::Jobs);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let (state, woken) = self
            .woken
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner);
        let is_over = woken.timed_out() && state.waiting.is_empty();
        (
            state,
            if is_over {
                NextWork::Maintenance
            } else {
                NextWork::Jobs
            },
        )
    }

    /// Moves waiting jobs to `batch`, until `batch` holds `most`.
    pub(super) fn drain_into(&self, batch: &mut Vec<Box<dyn WriteJob>>, most: usize) {
        let mut state = self.state();
        let count = most.saturating_sub(batch.len()).min(state.waiting.len());
        batch.extend(state.waiting.drain(..count));
    }

    /// Puts jobs that were taken and not run back in front, in their order.
    pub(super) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = Box<dyn WriteJob>>) {
        let mut state = self.state();
        for job in jobs.rev() {
            state.waiting.push_front(job);
        }
    }

    /// This many jobs were answered.
    pub(super) fn answered(&self, jobs: usize) {
        let mut state = self.state();
        state.accepted = state.accepted.saturating_sub(jobs);
    }

    /// Accepts no more jobs. Those that wait are still worked on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.end.get_or_insert(NotQueued::Closed);
        state.writer = WriterState::Awake;
        self.woken.notify_one();
    }

    /// Accepts no more jobs, and returns those that wait.
    pub(super) fn poison(&self, reason: String) -> VecDeque<Box<dyn WriteJob>> {
        let mut state = self.state();
        state.end = Some(NotQueued::Poisoned(reason));
        state.accepted = 0;
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        // No code of a caller runs under this mutex, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
