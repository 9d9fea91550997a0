//! From a client's request to its answer: what can be told at once is, and what the pool must decide on
//! becomes its event.

use tracing::info;

use super::{ClientId, status, why};
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::control::{ControlAnswer, ControlCommand, ControlRequest, Failed};
use crate::master::host::Host;
use crate::pool::{self, Event, Failure, Pool, StopMode, Ticket, Verdict};
use crate::sys::clock;

impl Host {
    /// Answers a request that can be answered at once; any other becomes an event.
    pub(in crate::master) fn hear_client(
        &mut self,
        id: ClientId,
        request: &ControlRequest,
        pool: &Pool,
    ) -> Option<Event> {
        match turn(id, request, pool, self, clock::now()) {
            Turn::Told(answer) => {
                self.desk.answer(id, answer, &self.watch);
                None
            }
            Turn::Asked(event) => {
                let pid = self.desk.peer(id).map(|peer| peer.pid);
                info!(client = id.0, pid, ask = ?request.command, "asked over the control socket");
                self.kept.hasty.extend((!request.wait).then_some(id));
                Some(event)
            }
        }
    }

    /// Everything that follows at once from what was asked has been done: whoever does not want to wait for
    /// more is told so. Who was refused meanwhile has an answer already.
    pub(in crate::master) fn release_hasty(&mut self) {
        for id in std::mem::take(&mut self.kept.hasty) {
            if self.desk.awaits(id) {
                self.desk.answer(id, ControlAnswer::Begun, &self.watch);
            }
        }
    }

    /// Cuts clients that are too slow.
    pub(in crate::master) fn expire_clients(&mut self, now: Monotonic) {
        if self.desk.deadline().is_some_and(|deadline| deadline <= now) {
            self.desk.expire(now, &self.watch);
        }
    }
}

/// What follows from a request.
enum Turn {
    /// This is the answer.
    Told(ControlAnswer),
    /// The pool will give the verdict.
    Asked(Event),
}

/// Takes one request.
fn turn(id: ClientId, request: &ControlRequest, pool: &Pool, world: &Host, now: Monotonic) -> Turn {
    let wanted = match request.command {
        ControlCommand::Status => {
            return Turn::Told(ControlAnswer::Status(Box::new(status::status(pool, world, now))));
        }
        ControlCommand::Why { slot } => {
            return Turn::Told(match why::why(pool, world, slot, now) {
                Ok(why) => ControlAnswer::Why(Box::new(why)),
                Err(reason) => ControlAnswer::Refused { reason },
            });
        }
        ControlCommand::Reload => pool::Request::Reload,
        ControlCommand::Rollback => pool::Request::Rollback,
        ControlCommand::Upgrade => pool::Request::Upgrade,
        ControlCommand::Scale { to } => match u16::try_from(to) {
            Ok(to) => pool::Request::ScaleTo(to),
            Err(_) => {
                return Turn::Told(ControlAnswer::Refused {
                    reason: out_of_bounds(to),
                });
            }
        },
        ControlCommand::Restart { slot } => pool::Request::Restart(slot),
        ControlCommand::Drain { slot } => pool::Request::Drain(slot),
        ControlCommand::Stop { now: true } => pool::Request::Stop(StopMode::AtOnce),
        ControlCommand::Stop { now: false } => pool::Request::Stop(StopMode::Graceful),
    };
    Turn::Asked(Event::Asked {
        ticket: Ticket(id.0),
        request: wanted,
    })
}

fn out_of_bounds(to: u32) -> String {
    let (least, most) = (pool::BOUNDS.start(), pool::BOUNDS.end());
    format!("{to} workers are not within {least} to {most}")
}

/// The pool's verdict as a client is told it.
pub(in crate::master) fn answer(verdict: Verdict, world: &Host) -> ControlAnswer {
    match verdict {
        Verdict::Done(done) => ControlAnswer::Done(done),
        Verdict::Refused { reason } => ControlAnswer::Refused { reason },
        Verdict::Failed {
            reason,
            generation,
            after,
            slots,
        } => ControlAnswer::Failed(Box::new(Failed {
            reason: reason.to_string(),
            stderr: last_words(&reason, world),
            cause: reason,
            generation,
            after,
            slots,
        })),
    }
}

/// What the worker said that it failed with.
fn last_words(failure: &Failure, world: &Host) -> Vec<String> {
    failed_with(failure)
        .and_then(|life| world.kept.graves.of(life))
        .map(|seen| seen.stderr.clone())
        .unwrap_or_default()
}

fn failed_with(failure: &Failure) -> Option<Life> {
    match failure {
        Failure::ExitedAtBoot { life, .. }
        | Failure::NeverReady { life }
        | Failure::DiedBaking { life, .. }
        | Failure::Hung { life }
        | Failure::WentByItself { life }
        | Failure::AnswersWorse { life, .. }
        | Failure::ReadinessFailed { life, .. } => Some(*life),
        Failure::BadConfiguration { .. }
        | Failure::BadBinary { .. }
        | Failure::SpawnFailed { .. }
        | Failure::KeepsDying { .. }
        | Failure::SlotRemoved { .. }
        | Failure::NotExecuted { .. }
        | Failure::Stopped => None,
    }
}
