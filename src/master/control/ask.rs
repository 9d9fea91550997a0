//! From a client's request to its answer: some requests are answered at once, the others become events for
//! the pool.

use tracing::info;

use super::logs::{self, LogsQuery};
use super::{ClientId, status, why};
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::control::{ControlAnswer, ControlCommand, ControlRequest, Failed};
use crate::master::host::Host;
use crate::pool::{self, Event, Failure, Pool, StopMode, Ticket, Verdict};
use crate::sys::clock;

impl Host {
    /// Answers a request that can be answered at once; any other becomes an event for the pool.
    pub(in crate::master) fn handle_request(
        &mut self,
        id: ClientId,
        request: &ControlRequest,
        pool: &Pool,
    ) -> Option<Event> {
        match handle(id, request, pool, self, clock::now()) {
            Handled::Answered(answer) => {
                self.control.answer(id, answer, &self.poller);
                None
            }
            Handled::ForPool(event) => {
                let pid = self.control.peer(id).map(|peer| peer.pid);
                let command = request.command;
                info!(
                    client = id.0,
                    pid,
                    command = command.name(),
                    slot = command.slot().map(|slot| slot.0),
                    to = command.size(),
                    now = command.at_once(),
                    "command over the control socket"
                );
                self.persisted.no_wait.extend((!request.wait).then_some(id));
                Some(event)
            }
        }
    }

    /// Answers the clients that sent `--no-wait`, once everything that follows at once from their commands
    /// has been done. A client whose command was refused has an answer already.
    pub(in crate::master) fn answer_no_wait_clients(&mut self) {
        for id in std::mem::take(&mut self.persisted.no_wait) {
            if self.control.is_waiting(id) {
                self.control.answer(id, ControlAnswer::Begun, &self.poller);
            }
        }
    }

    /// Disconnects clients that are too slow.
    pub(in crate::master) fn expire_clients(&mut self, now: Monotonic) {
        if self.control.deadline().is_some_and(|deadline| deadline <= now) {
            self.control.expire(now, &self.poller);
        }
    }
}

/// What a request leads to.
enum Handled {
    /// The answer is known.
    Answered(ControlAnswer),
    /// The pool decides.
    ForPool(Event),
}

/// Handles one request.
fn handle(id: ClientId, request: &ControlRequest, pool: &Pool, host: &Host, now: Monotonic) -> Handled {
    let wanted = match request.command {
        ControlCommand::Status => {
            return Handled::Answered(ControlAnswer::Status(Box::new(status::status(pool, host, now))));
        }
        ControlCommand::Why { slot } => {
            return Handled::Answered(match why::why(pool, host, slot, now) {
                Ok(why) => ControlAnswer::Why(Box::new(why)),
                Err(reason) => ControlAnswer::Refused { reason },
            });
        }
        ControlCommand::Logs { slot, lines } => {
            let positions = &request.positions;
            let query = LogsQuery {
                slot,
                lines,
                positions,
            };
            return Handled::Answered(match logs::logs(pool, host, query) {
                Ok(report) => ControlAnswer::Output(report),
                Err(reason) => ControlAnswer::Refused { reason },
            });
        }
        ControlCommand::Reload => pool::Request::Reload,
        ControlCommand::Rollback => pool::Request::Rollback,
        ControlCommand::Upgrade => pool::Request::Upgrade,
        ControlCommand::Scale { to } => match u16::try_from(to) {
            Ok(to) => pool::Request::ScaleTo(to),
            Err(_) => {
                return Handled::Answered(ControlAnswer::Refused {
                    reason: out_of_bounds(to),
                });
            }
        },
        ControlCommand::Restart { slot } => pool::Request::Restart(slot),
        ControlCommand::Drain { slot } => pool::Request::Drain(slot),
        ControlCommand::Stop { now: true } => pool::Request::Stop(StopMode::AtOnce),
        ControlCommand::Stop { now: false } => pool::Request::Stop(StopMode::Graceful),
    };
    Handled::ForPool(Event::Asked {
        ticket: Ticket(id.0),
        request: wanted,
    })
}

fn out_of_bounds(to: u32) -> String {
    let (least, most) = (pool::BOUNDS.start(), pool::BOUNDS.end());
    format!("{to} workers are not within {least} to {most}")
}

/// The answer to a client for the pool's verdict.
pub(in crate::master) fn answer(verdict: Verdict, host: &Host) -> ControlAnswer {
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
            stderr: last_lines(&reason, host),
            cause: reason,
            generation,
            after,
            slots,
        })),
    }
}

/// The last lines on stderr of the worker that the command failed with.
fn last_lines(failure: &Failure, host: &Host) -> Vec<String> {
    failed_worker(failure)
        .and_then(|life| host.persisted.postmortems.of(life))
        .map(|seen| seen.stderr.clone())
        .unwrap_or_default()
}

fn failed_worker(failure: &Failure) -> Option<Life> {
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
