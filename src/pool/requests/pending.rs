//! Requests whose end comes by itself some time after they were done: added slots have to become ready, and drained workers to
//! go. Who asked is told then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::queue::answer;
use crate::base::ids::{Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::pool::Pool;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::event::Ticket;
use crate::pool::protocol::verdict::{Done, Failure, Verdict};
use crate::pool::worker::pool_worker::PoolWorker;

/// One who wants to know when the slots that were added serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct PendingScale {
    ticket: Ticket,
    from: u16,
    to: u16,
    started: Monotonic,
}

/// Those who want to know when a slot's worker is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct PendingDrain {
    pub(in crate::pool) tickets: Vec<Ticket>,
    life: Life,
    started: Monotonic,
}

impl Pool {
    /// Its worker goes, and nobody follows.
    pub(in crate::pool) fn drain(&mut self, slot: Slot, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        let index = slot.index();
        let worker = self.clear(index, effects);
        self.seats[index].hold(self.now);
        let life = worker.as_ref().map(|worker| worker.life);
        if let Some(worker) = worker {
            self.retire(worker, Purpose::Drain, effects);
        }
        let still = self.leaving.iter().rev().find(|worker| worker.life.slot == slot);
        match life.or_else(|| still.map(|worker| worker.life)) {
            Some(life) => self.desk.drains.push(PendingDrain {
                tickets,
                life,
                started: self.now,
            }),
            None => answer(
                &tickets,
                &Verdict::Done(Done::Drained {
                    slot,
                    life: None,
                    after: Duration::ZERO,
                }),
                effects,
            ),
        }
    }

    /// A worker that left is gone.
    pub(in crate::pool) fn drained(&mut self, life: Life, effects: &mut Vec<Effect>) {
        let now = self.now;
        self.desk.drains.retain(|leave| {
            if leave.life == life {
                let done = Done::Drained {
                    slot: life.slot,
                    life: Some(life),
                    after: now.since(leave.started),
                };
                answer(&leave.tickets, &Verdict::Done(done), effects);
            }
            leave.life != life
        });
    }

    /// The number of slots is another one. Who asked is told when every added slot serves.
    pub(in crate::pool) fn grow(&mut self, ticket: Ticket, from: u16, to: u16, effects: &mut Vec<Effect>) {
        if ticket != Ticket::NOBODY {
            self.desk.scales.push(PendingScale {
                ticket,
                from,
                to,
                started: self.now,
            });
        }
        self.answer_growths(effects);
    }

    pub(in crate::pool) fn answer_growths(&mut self, effects: &mut Vec<Effect>) {
        if self.desk.scales.is_empty() {
            return;
        }
        let seats = &self.seats;
        // A slot that was removed or drained meanwhile is nobody's concern any more.
        let is_open = |slot: u16| {
            seats
                .get(usize::from(slot))
                .is_some_and(|seat| !seat.is_drained() && !seat.worker().is_some_and(PoolWorker::is_serving))
        };
        self.desk.scales.retain(|scale| {
            let PendingScale { ticket, from, to, .. } = *scale;
            let done = !(from..to).any(is_open);
            if done {
                answer(&[ticket], &Verdict::Done(Done::Scaled { from, to }), effects);
            }
            !done
        });
    }

    /// The first worker of an added slot came to nothing, and whoever asked for the slot is told so. To what number of slots that
    /// goes back; what was added on top of it goes, too.
    pub(in crate::pool) fn not_grown(
        &mut self,
        slot: Slot,
        reason: &Failure,
        effects: &mut Vec<Effect>,
    ) -> Option<u16> {
        let added = |scale: &&PendingScale| (scale.from..scale.to).contains(&slot.0);
        let back_to = self
            .desk
            .scales
            .iter()
            .filter(added)
            .map(|scale| scale.from)
            .min()?;
        self.end_growths(|scale| scale.to > back_to, reason, effects);
        Some(back_to)
    }

    /// The cluster stops: nobody will serve in what was added.
    pub(in crate::pool) fn no_growth(&mut self, effects: &mut Vec<Effect>) {
        self.end_growths(|_| true, &Failure::Stopped, effects);
    }

    fn end_growths(
        &mut self,
        concerned: impl Fn(&PendingScale) -> bool,
        reason: &Failure,
        effects: &mut Vec<Effect>,
    ) {
        let (now, generation) = (self.now, self.current);
        self.desk.scales.retain(|scale| {
            let ended = concerned(scale);
            if ended {
                let verdict = Verdict::Failed {
                    reason: reason.clone(),
                    generation,
                    after: now.since(scale.started),
                    slots: Vec::new(),
                };
                answer(&[scale.ticket], &verdict, effects);
            }
            !ended
        });
    }
}
