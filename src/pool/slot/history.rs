//! The history of each slot: the last death certificates, and how many lives ended in which way. Bounded per
//! slot.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::restart::RestartDecision;
use super::slot_state::{Occupancy, SlotState};
use crate::base::time::Monotonic;
use crate::pool::protocol::certificate::{Cause, CauseKind, Certificate, Decision, KEPT, Purpose};
use crate::pool::protocol::facts::{KillReason, ProcessExit};
use crate::pool::worker::end_of_life::EndOfLife;
use crate::pool::worker::pool_worker::PoolWorker;

/// How the lives of one slot ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct SlotHistory {
    /// The last [`KEPT`] certificates, the oldest first.
    certificates: VecDeque<Certificate>,
    /// How many lives ended, by cause, since the master started.
    endings: BTreeMap<CauseKind, u64>,
}

impl SlotHistory {
    pub(in crate::pool) fn certificates(&self) -> &VecDeque<Certificate> {
        &self.certificates
    }

    pub(in crate::pool) fn endings(&self) -> &BTreeMap<CauseKind, u64> {
        &self.endings
    }

    pub(in crate::pool) fn add(&mut self, certificate: Certificate) {
        *self.endings.entry(certificate.cause.kind()).or_default() += 1;
        if self.certificates.len() >= KEPT {
            self.certificates.pop_front();
        }
        self.certificates.push_back(certificate);
    }
}

/// The certificate of a worker that ended.
pub(in crate::pool) fn certificate(
    worker: &PoolWorker,
    end: &EndOfLife,
    cause: Cause,
    decision: Decision,
    now: Monotonic,
) -> Certificate {
    Certificate {
        life: worker.life,
        generation: worker.generation,
        at: now,
        lived: now.since(worker.started),
        was_ready: worker.ready_at.is_some(),
        cause,
        exit: end.exit(),
        trouble: worker.trouble.clone(),
        beat_age: worker.beat_age(now),
        connections: worker.load.connections,
        in_flight: worker.load.in_flight,
        rss: worker.load.rss,
        decision,
    }
}

/// What follows when the worker of a slot ended unasked.
pub(in crate::pool) fn decision_after_crash(decision: RestartDecision, state: &SlotState) -> Decision {
    Decision::RestartIn {
        wait: decision.wait,
        degraded: state.restart.breaker_open,
    }
}

/// What follows when a worker ended that had left its slot. `refills`: whether empty slots are filled at all.
pub(in crate::pool) fn decision_after_leaving(
    worker: &PoolWorker,
    state: Option<&SlotState>,
    refills: bool,
    now: Monotonic,
) -> Decision {
    let Some(state) = state else {
        return Decision::None;
    };
    match state.occupancy() {
        Occupancy::Filled(next) if next.life.epoch > worker.life.epoch => {
            Decision::Replaced { by: next.life }
        }
        Occupancy::Filled(_) | Occupancy::Drained => Decision::None,
        Occupancy::Vacant if !refills => Decision::None,
        Occupancy::Vacant | Occupancy::BackingOff { .. } | Occupancy::Degraded { .. } => {
            Decision::RestartIn {
                wait: state.filled_at().unwrap_or(now).since(now),
                degraded: state.restart.breaker_open,
            }
        }
    }
}

/// What ended a worker that was not asked to go.
pub(in crate::pool) fn cause(worker: &PoolWorker, end: &EndOfLife) -> Cause {
    match end {
        EndOfLife::SpawnFailed(reason) => Cause::SpawnFailed {
            reason: reason.clone(),
        },
        EndOfLife::LeftByItself => Cause::Retired {
            purpose: Purpose::Itself,
            cut: None,
        },
        EndOfLife::Exited { oom: true, .. } => Cause::OutOfMemory,
        EndOfLife::Exited { exit, .. } => cause_of_exit(worker, *exit),
    }
}

fn cause_of_exit(worker: &PoolWorker, exit: ProcessExit) -> Cause {
    match (worker.killed_for(), worker.ready_at) {
        (Some(reason @ (KillReason::Hung(_) | KillReason::HeldLock(_))), _) => Cause::Hung { reason },
        (killed, None) => Cause::BootFailed { killed },
        (Some(cut), Some(_)) => Cause::Retired {
            purpose: worker.purpose.unwrap_or(Purpose::Itself),
            cut: Some(cut),
        },
        (None, Some(_)) => match exit {
            ProcessExit::Code(_) => Cause::Exited,
            ProcessExit::Signal(_) => Cause::Signalled,
        },
    }
}

/// What ended a worker that was on its way out: what it was asked to go for, whatever happened then, unless
/// memory was short.
pub(in crate::pool) fn cause_after_leaving(worker: &PoolWorker, end: &EndOfLife) -> Cause {
    match end {
        EndOfLife::Exited { oom: true, .. } | EndOfLife::SpawnFailed(_) => cause(worker, end),
        EndOfLife::Exited { oom: false, .. } | EndOfLife::LeftByItself => Cause::Retired {
            purpose: worker.purpose.unwrap_or(Purpose::Itself),
            cut: worker.killed_for(),
        },
    }
}
