//! What waits for the writer: bounded, and honest about whether anything is being worked on.
//! The queue alone decides when the cell is idle, so that an idle store wakes nobody and a stuck one is seen.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::job::{Fate, Job};
use super::options::Admission;
use crate::scoreboard::Cell;

/// Why a job was not accepted. The job comes back, so that its caller can be told.
pub(super) enum Turned {
    /// At its depth.
    Busy,
    /// Closed or poisoned.
    Away(Fate),
}

/// Jobs accepted and not answered yet.
pub(super) struct Queue {
    state: Mutex<State>,
    woken: Condvar,
    depth: usize,
    cell: Cell,
}

struct State {
    waiting: VecDeque<Box<dyn Job>>,
    accepted: usize,
    writer_idle: bool,
    end: Option<Fate>,
}

/// What whoever brought a job has to do besides waiting for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing: the writer is at work.
    Nothing,
    /// To wake the writer, which sleeps, soon. Whoever finds it so has this duty, not the first alone: that one may be slow.
    Wake,
}

impl Queue {
    pub(super) fn new(depth: usize, cell: Cell) -> Queue {
        let state = State {
            waiting: VecDeque::new(),
            accepted: 0,
            writer_idle: false,
            end: None,
        };
        Queue {
            state: Mutex::new(state),
            woken: Condvar::new(),
            depth,
            cell,
        }
    }

    /// Takes a job in. A writer that sleeps is not woken here: who brings it the first job may wait for those who bring more.
    pub(super) fn submit(&self, admission: Admission, job: Box<dyn Job>) -> Result<Duty, Turned> {
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(Turned::Away(end.clone()));
        }
        if admission == Admission::New && state.accepted >= self.depth {
            return Err(Turned::Busy);
        }
        state.accepted += 1;
        state.waiting.push_back(job);
        Ok(if state.writer_idle {
            Duty::Wake
        } else {
            Duty::Nothing
        })
    }

    /// Wakes the writer, if it still sleeps and there is something to do.
    pub(super) fn wake(&self) {
        let mut state = self.state();
        if state.writer_idle && !state.waiting.is_empty() {
            state.writer_idle = false;
            self.cell.stamp();
            self.woken.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn writer_sleeps(&self) -> bool {
        self.state().writer_idle
    }

    /// Waits until something waits; `false` when nothing does and nothing will.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.state();
        while state.waiting.is_empty() {
            self.cell.idle();
            if state.end.is_some() {
                return false;
            }
            state.writer_idle = true;
            state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer_idle = false;
        true
    }

    /// Moves what waits to `batch`, until that holds `most`.
    pub(super) fn drain_into(&self, batch: &mut Vec<Box<dyn Job>>, most: usize) {
        let mut state = self.state();
        let room = most.saturating_sub(batch.len()).min(state.waiting.len());
        batch.extend(state.waiting.drain(..room));
    }

    /// Puts jobs that were taken and not run back in front, in their order.
    pub(super) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = Box<dyn Job>>) {
        let mut state = self.state();
        for job in jobs.rev() {
            state.waiting.push_front(job);
        }
    }

    /// So many were answered.
    pub(super) fn answered(&self, jobs: usize) {
        let mut state = self.state();
        state.accepted = state.accepted.saturating_sub(jobs);
    }

    /// Takes no more in. What waits is still worked on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.end.get_or_insert(Fate::Closed);
        state.writer_idle = false;
        self.woken.notify_one();
    }

    /// Takes no more in, and gives back what waits.
    pub(super) fn poison(&self, fate: Fate) -> VecDeque<Box<dyn Job>> {
        let mut state = self.state();
        state.end = Some(fate);
        state.accepted = 0;
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code of a caller runs under this mutex, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
