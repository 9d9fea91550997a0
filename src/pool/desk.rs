//! What people asked for: done at once, refused, or put in a queue when something is under way that it must not be mixed with;
//! and who waits for which verdict. What is asked for itself is done elsewhere (`reload`, `relief`, `scale`, `ending`).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::brain::{Mode, Pool, announce};
use super::effect::{Announcement, Effect};
use super::event::{Request, Ticket};
use super::rollout::{Job, Rollout};
use super::verdict::{Done, Failure, Replaced, Rolled, Verdict};

/// So many may wait for verdicts at once; one more is refused.
const MOST_WAITING: usize = 64;

/// Who waits for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Desk {
    /// Asked for and not begun, the oldest first.
    queue: VecDeque<Wish>,
    /// The rollout that is under way.
    pub(super) trip: Option<Trip>,
    /// They wait for the end.
    stops: Vec<Ticket>,
}

/// One thing that is asked for, by as many as asked for it before it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    request: Request,
    tickets: Vec<Ticket>,
}

/// A rollout's people, and what they are told at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trip {
    pub(super) tickets: Vec<Ticket>,
    pub(super) slots: Vec<Replaced>,
}

impl Desk {
    fn waiting(&self) -> usize {
        let queued: usize = self.queue.iter().map(|wish| wish.tickets.len()).sum();
        queued + self.trip.as_ref().map_or(0, |trip| trip.tickets.len()) + self.stops.len()
    }
}

/// Tells everyone who waited.
pub(super) fn answer(tickets: &[Ticket], verdict: &Verdict, effects: &mut Vec<Effect>) {
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
    pub(super) fn asked(&mut self, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
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
            Request::Reload | Request::Rollback | Request::Restart(_) | Request::Drain(_) => {
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
        match self.desk.queue.back_mut().filter(|wish| wish.request == request) {
            Some(wish) => wish.tickets.push(ticket),
            None => self.desk.queue.push_back(Wish {
                request,
                tickets: vec![ticket],
            }),
        }
    }

    fn is_free(&self) -> bool {
        self.rollout == Rollout::Idle
    }

    /// Begins the next thing that was asked for, once the last one ended. Whether anything was begun or refused.
    pub(super) fn begin_next(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.mode != Mode::Running || !self.is_free() {
            return false;
        }
        let Some(Wish { request, tickets }) = self.desk.queue.pop_front() else {
            return false;
        };
        match request {
            Request::Reload => self.begin_reload(tickets, effects),
            Request::Rollback
            | Request::Restart(_)
            | Request::Drain(_)
            | Request::ScaleTo(_)
            | Request::ScaleBy(_)
            | Request::Stop(_) => {
                refuse(&tickets, request, "not possible".to_owned(), effects);
            }
        }
        true
    }

    /// A rollout went through.
    pub(super) fn rolled(&mut self, job: Job, effects: &mut Vec<Effect>) {
        let Some(trip) = self.desk.trip.take() else { return };
        let rolled = Rolled {
            generation: job.target,
            from: job.from,
            after: self.now.since(job.started),
            slots: trip.slots,
        };
        answer(&trip.tickets, &Verdict::Done(Done::Reloaded(rolled)), effects);
    }

    /// A rollout was backed out.
    pub(super) fn not_rolled(&mut self, job: Job, reason: Failure, effects: &mut Vec<Effect>) {
        let Some(trip) = self.desk.trip.take() else { return };
        let verdict = Verdict::Failed {
            reason,
            generation: job.target,
            after: self.now.since(job.started),
            slots: trip.slots,
        };
        answer(&trip.tickets, &verdict, effects);
    }

    /// Whatever was asked for and not begun will not be.
    pub(super) fn refuse_queue(&mut self, effects: &mut Vec<Effect>) {
        for Wish { request, tickets } in std::mem::take(&mut self.desk.queue) {
            refuse(&tickets, request, "the cluster is stopping".to_owned(), effects);
        }
    }

    /// Everybody is gone.
    pub(super) fn answer_stops(&mut self, outcome: super::effect::Outcome, effects: &mut Vec<Effect>) {
        let stops = std::mem::take(&mut self.desk.stops);
        answer(&stops, &Verdict::Done(Done::Stopped { outcome }), effects);
    }
}

pub(super) fn refuse(tickets: &[Ticket], request: Request, reason: String, effects: &mut Vec<Effect>) {
    announce(
        Announcement::Refused {
            request,
            reason: reason.clone(),
        },
        effects,
    );
    answer(tickets, &Verdict::Refused { reason }, effects);
}
