//! The dead of each slot: the last certificates, and how many ended in which way. Bounded per slot.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::restart::{EndOfLife, RestartDecision};
use super::slot_state::Occupancy;
use crate::pool::pool::{Mode, Pool};
use crate::pool::protocol::certificate::{Cause, CauseKind, Certificate, Decision, KEPT, Purpose};
use crate::pool::protocol::effect::KillReason;
use crate::pool::protocol::event::Exit;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerPhase};

/// One slot's dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct SlotHistory {
    /// The oldest first.
    pub(in crate::pool) certificates: VecDeque<Certificate>,
    pub(in crate::pool) endings: BTreeMap<CauseKind, u64>,
}

impl SlotHistory {
    fn bury(&mut self, certificate: Certificate) {
        *self.endings.entry(certificate.cause.kind()).or_default() += 1;
        if self.certificates.len() >= KEPT {
            self.certificates.pop_front();
        }
        self.certificates.push_back(certificate);
    }
}

impl Pool {
    /// The worker of a slot ended unasked, and this follows.
    pub(in crate::pool) fn certify_fallen(
        &mut self,
        worker: &PoolWorker,
        end: &EndOfLife,
        decision: RestartDecision,
        degraded: bool,
    ) {
        let decision = Decision::RestartIn {
            wait: decision.wait,
            degraded,
        };
        self.certify(worker, end, cause(worker, end), decision);
    }

    /// Somebody who stood beside ended; the slot has its worker.
    pub(in crate::pool) fn certify_replacement(&mut self, worker: &PoolWorker, end: &EndOfLife) {
        self.certify(worker, end, cause(worker, end), Decision::None);
    }

    /// One of those who leave is gone.
    pub(in crate::pool) fn certify_gone(&mut self, worker: &PoolWorker, end: &EndOfLife) {
        let decision = self.decision(worker);
        self.certify(worker, end, cause_of_leaver(worker, end), decision);
    }

    fn certify(&mut self, worker: &PoolWorker, end: &EndOfLife, cause: Cause, decision: Decision) {
        let exit = match end {
            EndOfLife::Exited { exit, .. } => Some(*exit),
            EndOfLife::SpawnFailed(_) | EndOfLife::LeftByItself => None,
        };
        let certificate = Certificate {
            life: worker.life,
            generation: worker.generation,
            at: self.now,
            lived: self.now.since(worker.started),
            was_ready: worker.ready_at.is_some(),
            cause,
            exit,
            beat_age: worker.beat_age(self.now),
            connections: worker.load.connections,
            in_flight: worker.load.in_flight,
            rss: worker.load.rss,
            decision,
        };
        if let Some(past) = self.past.get_mut(worker.life.slot.index()) {
            past.bury(certificate);
        }
    }

    fn decision(&self, worker: &PoolWorker) -> Decision {
        let Some(seat) = self.seats.get(worker.life.slot.index()) else {
            return Decision::None;
        };
        match seat.state() {
            Occupancy::Filled(next) if next.life.epoch > worker.life.epoch => {
                Decision::Replaced { by: next.life }
            }
            Occupancy::Filled(_) | Occupancy::Drained => Decision::None,
            Occupancy::Vacant if self.mode != Mode::Running => Decision::None,
            Occupancy::Vacant | Occupancy::BackingOff { .. } | Occupancy::Degraded { .. } => {
                Decision::RestartIn {
                    wait: seat.filled_at().unwrap_or(self.now).since(self.now),
                    degraded: seat.restart.breaker_open,
                }
            }
        }
    }
}

/// What ended somebody who was not asked to go.
fn cause(worker: &PoolWorker, end: &EndOfLife) -> Cause {
    let exit = match end {
        EndOfLife::SpawnFailed(reason) => {
            return Cause::SpawnFailed {
                reason: reason.clone(),
            };
        }
        EndOfLife::LeftByItself => {
            return Cause::Retired {
                purpose: Purpose::Itself,
                cut: None,
            };
        }
        EndOfLife::Exited { oom: true, .. } => return Cause::OutOfMemory,
        EndOfLife::Exited { exit, .. } => *exit,
    };
    match (worker.killed_for(), worker.ready_at) {
        (Some(reason @ (KillReason::Hung(_) | KillReason::HeldLock(_))), _) => Cause::Hung { reason },
        (killed, None) => Cause::BootFailed { killed },
        (Some(cut), Some(_)) => Cause::Retired {
            purpose: worker.purpose.unwrap_or(Purpose::Itself),
            cut: Some(cut),
        },
        (None, Some(_)) => match exit {
            Exit::Code(_) => Cause::Exited,
            Exit::Signal(_) => Cause::Signalled,
        },
    }
}

/// What ended somebody who was on the way out: what it went for, whatever happened then, unless memory was short.
fn cause_of_leaver(worker: &PoolWorker, end: &EndOfLife) -> Cause {
    match end {
        EndOfLife::Exited { oom: true, .. } | EndOfLife::SpawnFailed(_) => cause(worker, end),
        EndOfLife::Exited { oom: false, .. } | EndOfLife::LeftByItself => Cause::Retired {
            purpose: worker.purpose.unwrap_or(Purpose::Itself),
            cut: worker.killed_for(),
        },
    }
}

impl PoolWorker {
    fn killed_for(&self) -> Option<KillReason> {
        match self.phase {
            WorkerPhase::Killed { reason, .. } => Some(reason),
            WorkerPhase::Starting { .. }
            | WorkerPhase::Serving { .. }
            | WorkerPhase::Late { .. }
            | WorkerPhase::Draining { .. } => None,
        }
    }
}
