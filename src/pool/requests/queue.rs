//! What people asked for: done at once, refused, or put in a queue when something is under way that it must not be mixed with;
//! and who waits for which verdict. What is asked for itself is done elsewhere (`reload`, `relief`, `scale`, `ending`).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pending::{PendingDrain, PendingScale};
use crate::base::ids::Slot;
use crate::pool::deploy::rollout::{GenerationChange, Rollout};
use crate::pool::pool::{Mode, Pool, announce};
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::event::{Request, Ticket};
use crate::pool::protocol::verdict::{Done, Failure, Replaced, Rolled, Verdict};
use crate::pool::slot::slot_state::SlotState;
use crate::pool::worker::pool_worker::PoolWorker;

const NO_PREVIOUS: &str =
    "there is no previous generation, because no reload went through since the master started";
/// So many may wait for verdicts at once; one more is refused.
const MOST_WAITING: usize = 64;

/// Who waits for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RequestQueue {
    /// Asked for and not begun, the oldest first.
    queue: VecDeque<QueuedRequest>,
    /// The rollout that is under way.
    pub(in crate::pool) waiters: Option<RolloutWaiters>,
    /// Added slots that do not all serve yet.
    pub(in crate::pool) scales: Vec<PendingScale>,
    /// Slots whose workers still drain on request.
    pub(in crate::pool) drains: Vec<PendingDrain>,
    /// They wait for the end.
    stops: Vec<Ticket>,
}

/// One thing that is asked for, by as many as asked for it before it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct QueuedRequest {
    request: Request,
    tickets: Vec<Ticket>,
}

/// A rollout's people, and what they are told at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RolloutWaiters {
    tickets: Vec<Ticket>,
    is_rollback: bool,
    pub(in crate::pool) slots: Vec<Replaced>,
}

impl RolloutWaiters {
    pub(in crate::pool) fn begun(tickets: Vec<Ticket>, is_rollback: bool) -> RolloutWaiters {
        RolloutWaiters {
            tickets,
            is_rollback,
            slots: Vec::new(),
        }
    }
}

impl RequestQueue {
    fn waiting(&self) -> usize {
        let queued: usize = self.queue.iter().map(|queued| queued.tickets.len()).sum();
        let drains: usize = self.drains.iter().map(|leave| leave.tickets.len()).sum();
        let rolling = self.waiters.as_ref().map_or(0, |waiters| waiters.tickets.len());
        queued + drains + rolling + self.scales.len() + self.stops.len()
    }
}

/// Tells everyone who waited.
pub(in crate::pool) fn answer(tickets: &[Ticket], verdict: &Verdict, effects: &mut Vec<Effect>) {
    for ticket in tickets {
        if *ticket != Ticket::NOBODY {
            effects.push(Effect::Answer {
                ticket: *ticket,
                verdict: verdict.clone(),
            });
        }
    }
}

impl Pool {
    /// A person wants something.
    pub(in crate::pool) fn asked(&mut self, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        if let Err(reason) = self.admit(ticket, request) {
            return refuse(&[ticket], request, reason, effects);
        }
        match request {
            Request::Stop(mode) => {
                self.desk.stops.push(ticket);
                self.stop(mode, effects);
            }
            Request::ScaleTo(to) => self.scale(ticket, request, i64::from(to), effects),
            Request::ScaleBy(by) => {
                self.scale(ticket, request, i64::from(self.size()) + i64::from(by), effects)
            }
            Request::Reload
            | Request::Rollback
            | Request::Upgrade
            | Request::Restart(_)
            | Request::Drain(_) => {
                self.enqueue(ticket, request, effects);
            }
        }
    }

    fn admit(&self, ticket: Ticket, request: Request) -> Result<(), String> {
        match (self.mode, request) {
            (_, Request::Stop(_)) => Ok(()),
            (Mode::Stopping { .. } | Mode::GivingUp | Mode::Over, _) => {
                Err("the cluster is stopping".to_owned())
            }
            (Mode::Running, _) if ticket != Ticket::NOBODY && self.desk.waiting() >= MOST_WAITING => {
                Err(format!("{MOST_WAITING} others wait for their verdicts already"))
            }
            (Mode::Running, _) => Ok(()),
        }
    }

    /// The same wish twice in a row is one wish: it has not been begun yet.
    fn enqueue(&mut self, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        if !self.is_free() || !self.desk.queue.is_empty() {
            announce(Announcement::Queued { request }, effects);
        }
        match self
            .desk
            .queue
            .back_mut()
            .filter(|queued| queued.request == request)
        {
            Some(queued) => queued.tickets.push(ticket),
            None => self.desk.queue.push_back(QueuedRequest {
                request,
                tickets: vec![ticket],
            }),
        }
    }

    /// Nobody stands beside a slot's worker, or will, and the master stays who it is.
    pub(in crate::pool) fn is_free(&self) -> bool {
        self.rollout == Rollout::Idle && self.relief.is_none() && self.upgrade.is_none()
    }

    /// Begins the next thing that was asked for, once the last one ended. Whether anything was begun or refused.
    pub(in crate::pool) fn begin_next(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.mode != Mode::Running || !self.is_free() {
            return false;
        }
        let Some(QueuedRequest { request, tickets }) = self.desk.queue.pop_front() else {
            return false;
        };
        match request {
            Request::Reload => self.begin_reload(tickets, effects),
            Request::Rollback => match self.previous {
                Some(target) => self.begin_rollback(target, tickets, effects),
                None => refuse(&tickets, request, NO_PREVIOUS.to_owned(), effects),
            },
            Request::Upgrade => self.begin_upgrade(tickets, effects),
            Request::Restart(slot) => match self.exists(slot) {
                Ok(()) => self.begin_relief(slot, Purpose::Restart, tickets, effects),
                Err(reason) => refuse(&tickets, request, reason, effects),
            },
            Request::Drain(slot) => match self.can_be_drained(slot) {
                Ok(()) => self.drain(slot, tickets, effects),
                Err(reason) => refuse(&tickets, request, reason, effects),
            },
            // Done at once when they are asked for.
            Request::ScaleTo(_) | Request::ScaleBy(_) | Request::Stop(_) => {}
        }
        true
    }

    fn exists(&self, slot: Slot) -> Result<(), String> {
        let last = self.size().saturating_sub(1);
        let exists = slot.index() < self.seats.len();
        exists
            .then_some(())
            .ok_or_else(|| format!("there is no slot {slot}, expected 0 to {last}"))
    }

    fn can_be_drained(&self, slot: Slot) -> Result<(), String> {
        self.exists(slot)?;
        let serves =
            |seat: &SlotState| seat.slot != slot && seat.worker().is_some_and(PoolWorker::is_serving);
        let another = self.seats.iter().any(serves) || self.seats[slot.index()].is_drained();
        another
            .then_some(())
            .ok_or_else(|| format!("no slot but {slot} has a ready worker, and nobody would serve"))
    }

    /// A rollout went through.
    pub(in crate::pool) fn rolled(&mut self, change: GenerationChange, effects: &mut Vec<Effect>) {
        let Some(waiters) = self.desk.waiters.take() else {
            return;
        };
        let rolled = Rolled {
            generation: change.target,
            from: change.from,
            after: self.now.since(change.started),
            slots: waiters.slots,
        };
        let done = if waiters.is_rollback {
            Done::RolledBack(rolled)
        } else {
            Done::Reloaded(rolled)
        };
        answer(&waiters.tickets, &Verdict::Done(done), effects);
    }

    /// A rollout was backed out.
    pub(in crate::pool) fn not_rolled(
        &mut self,
        change: GenerationChange,
        reason: Failure,
        effects: &mut Vec<Effect>,
    ) {
        let Some(waiters) = self.desk.waiters.take() else {
            return;
        };
        let verdict = Verdict::Failed {
            reason,
            generation: change.target,
            after: self.now.since(change.started),
            slots: waiters.slots,
        };
        answer(&waiters.tickets, &verdict, effects);
    }

    /// Whatever was asked for and not begun will not be.
    pub(in crate::pool) fn refuse_queue(&mut self, effects: &mut Vec<Effect>) {
        for QueuedRequest { request, tickets } in std::mem::take(&mut self.desk.queue) {
            refuse(&tickets, request, "the cluster is stopping".to_owned(), effects);
        }
    }

    /// Everybody is gone.
    pub(in crate::pool) fn answer_stops(
        &mut self,
        outcome: crate::pool::protocol::effect::Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let stops = std::mem::take(&mut self.desk.stops);
        answer(&stops, &Verdict::Done(Done::Stopped { outcome }), effects);
    }
}

pub(in crate::pool) fn refuse(
    tickets: &[Ticket],
    request: Request,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    announce(
        Announcement::Refused {
            request,
            reason: reason.clone(),
        },
        effects,
    );
    answer(tickets, &Verdict::Refused { reason }, effects);
}
