//! The dead of each slot: the last certificates, and how many ended in which way. Bounded per slot.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::restart::{End, Sentence};
use super::slot_state::State;
use crate::pool::pool::{Mode, Pool};
use crate::pool::protocol::certificate::{Cause, CauseKind, Certificate, Decision, KEPT, Purpose};
use crate::pool::protocol::effect::KillReason;
use crate::pool::protocol::event::Exit;
use crate::pool::worker::pool_worker::{Member, Phase};

/// One slot's dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Past {
    /// The oldest first.
    pub(in crate::pool) certificates: VecDeque<Certificate>,
    pub(in crate::pool) endings: BTreeMap<CauseKind, u64>,
}

impl Past {
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
        member: &Member,
        end: &End,
        sentence: Sentence,
        degraded: bool,
    ) {
        let decision = Decision::RestartIn {
            wait: sentence.wait,
            degraded,
        };
        self.certify(member, end, cause(member, end), decision);
    }

    /// Somebody who stood beside ended; the slot has its worker.
    pub(in crate::pool) fn certify_replacement(&mut self, member: &Member, end: &End) {
        self.certify(member, end, cause(member, end), Decision::None);
    }

    /// One of those who leave is gone.
    pub(in crate::pool) fn certify_gone(&mut self, member: &Member, end: &End) {
        let decision = self.decision(member);
        self.certify(member, end, cause_of_leaver(member, end), decision);
    }

    fn certify(&mut self, member: &Member, end: &End, cause: Cause, decision: Decision) {
        let exit = match end {
            End::Exited { exit, .. } => Some(*exit),
            End::SpawnFailed(_) | End::LeftByItself => None,
        };
        let certificate = Certificate {
            life: member.life,
            generation: member.generation,
            at: self.now,
            lived: self.now.since(member.started),
            was_ready: member.ready_at.is_some(),
            cause,
            exit,
            beat_age: member.beat_age(self.now),
            connections: member.load.connections,
            in_flight: member.load.in_flight,
            rss: member.load.rss,
            decision,
        };
        if let Some(past) = self.past.get_mut(member.life.slot.index()) {
            past.bury(certificate);
        }
    }

    fn decision(&self, member: &Member) -> Decision {
        let Some(seat) = self.seats.get(member.life.slot.index()) else {
            return Decision::None;
        };
        match seat.state() {
            State::Filled(next) if next.life.epoch > member.life.epoch => {
                Decision::Replaced { by: next.life }
            }
            State::Filled(_) | State::Held => Decision::None,
            State::Vacant if self.mode != Mode::Running => Decision::None,
            State::Vacant | State::BackingOff { .. } | State::Degraded { .. } => Decision::RestartIn {
                wait: seat.filled_at().unwrap_or(self.now).since(self.now),
                degraded: seat.record.breaker_open,
            },
        }
    }
}

/// What ended somebody who was not asked to go.
fn cause(member: &Member, end: &End) -> Cause {
    let exit = match end {
        End::SpawnFailed(reason) => {
            return Cause::SpawnFailed {
                reason: reason.clone(),
            };
        }
        End::LeftByItself => {
            return Cause::Retired {
                purpose: Purpose::Itself,
                cut: None,
            };
        }
        End::Exited { oom: true, .. } => return Cause::OutOfMemory,
        End::Exited { exit, .. } => *exit,
    };
    match (member.killed_for(), member.ready_at) {
        (Some(reason @ (KillReason::Hung(_) | KillReason::HeldLock(_))), _) => Cause::Hung { reason },
        (killed, None) => Cause::BootFailed { killed },
        (Some(cut), Some(_)) => Cause::Retired {
            purpose: member.purpose.unwrap_or(Purpose::Itself),
            cut: Some(cut),
        },
        (None, Some(_)) => match exit {
            Exit::Code(_) => Cause::Exited,
            Exit::Signal(_) => Cause::Signalled,
        },
    }
}

/// What ended somebody who was on the way out: what it went for, whatever happened then, unless memory was short.
fn cause_of_leaver(member: &Member, end: &End) -> Cause {
    match end {
        End::Exited { oom: true, .. } | End::SpawnFailed(_) => cause(member, end),
        End::Exited { oom: false, .. } | End::LeftByItself => Cause::Retired {
            purpose: member.purpose.unwrap_or(Purpose::Itself),
            cut: member.killed_for(),
        },
    }
}

impl Member {
    fn killed_for(&self) -> Option<KillReason> {
        match self.phase {
            Phase::Killed { reason, .. } => Some(reason),
            Phase::Starting { .. } | Phase::Serving { .. } | Phase::Late { .. } | Phase::Draining { .. } => {
                None
            }
        }
    }
}
