//! Requests that end some time after they were carried out: added slots have to become ready, and drained
//! workers to go. The clients that asked are told then. A scaling that nobody waits for, such as one by
//! signal, ends no other way.

use serde::{Deserialize, Serialize};

use super::answers::answer;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, announce};
use crate::pool::protocol::event::Ticket;
use crate::pool::protocol::verdict::{Done, Failure, Verdict};
use crate::pool::slot::slots::Slots;

/// Slots that were added and do not all serve yet, and the client that waits for them, if one does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingScale {
    ticket: Ticket,
    from: u16,
    to: u16,
    started: Monotonic,
    /// What the client is told then.
    done: Done,
}

/// Clients that wait until a slot's worker is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingDrain {
    tickets: Vec<Ticket>,
    life: Life,
    started: Monotonic,
}

/// Added slots that do not all serve yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::pool) struct PendingScales(Vec<PendingScale>);

impl PendingScales {
    pub(in crate::pool) fn waiters(&self) -> usize {
        let is_waited_for = |scale: &&PendingScale| scale.ticket != Ticket::NOBODY;
        self.0.iter().filter(is_waited_for).count()
    }

    /// The slots `from..to` were added, or none. The client is told `done` when they serve.
    pub(in crate::pool) fn add(
        &mut self,
        ticket: Ticket,
        (from, to): (u16, u16),
        started: Monotonic,
        done: Done,
        effects: &mut Vec<Effect>,
    ) {
        if from >= to {
            return answer(&[ticket], &Verdict::Done(done), effects);
        }
        self.0.push(PendingScale {
            ticket,
            from,
            to,
            started,
            done,
        });
    }

    /// Ends the scalings whose added slots all serve.
    pub(in crate::pool) fn answer_done(&mut self, slots: &Slots, effects: &mut Vec<Effect>) {
        // A slot that was removed or drained meanwhile is not waited for any more.
        let is_awaited = |slot: u16| {
            let state = slots.get(Slot(slot));
            state.is_some_and(|state| !state.is_drained() && !state.is_serving())
        };
        self.0.retain(|scale| {
            let is_done = !(scale.from..scale.to).any(is_awaited);
            if is_done {
                answer(&[scale.ticket], &Verdict::Done(scale.done.clone()), effects);
            }
            !is_done
        });
    }

    /// The number of slots before a slot was added whose first worker came to nothing, if the slot belongs
    /// to a scaling that has not ended.
    pub(in crate::pool) fn size_before(&self, slot: Slot) -> Option<u16> {
        let added = self
            .0
            .iter()
            .filter(|scale| (scale.from..scale.to).contains(&slot.0));
        added.map(|scale| scale.from).min()
    }

    /// Tells the clients that asked for more than `size` slots, and people, that they do not get them.
    pub(in crate::pool) fn fail_above(
        &mut self,
        size: u16,
        reason: &Failure,
        (generation, now): (Generation, Monotonic),
        effects: &mut Vec<Effect>,
    ) {
        let failing = || self.0.iter().filter(|scale| scale.to > size);
        let (from, to) = (failing().map(|scale| scale.from), failing().map(|scale| scale.to));
        if let (Some(from), Some(to)) = (from.min(), to.max()) {
            let reason = reason.clone();
            announce(Announcement::ScaleFailed { from, to, reason }, effects);
        }
        self.0.retain(|scale| {
            let fails = scale.to > size;
            if fails {
                let verdict = Verdict::Failed {
                    reason: reason.clone(),
                    generation,
                    after: now.since(scale.started),
                    slots: Vec::new(),
                };
                answer(&[scale.ticket], &verdict, effects);
            }
            !fails
        });
    }
}

/// Slots whose workers still drain on request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::pool) struct PendingDrains(Vec<PendingDrain>);

impl PendingDrains {
    pub(in crate::pool) fn waiters(&self) -> usize {
        self.0.iter().map(|drain| drain.tickets.len()).sum()
    }

    pub(in crate::pool) fn add(&mut self, tickets: Vec<Ticket>, life: Life, now: Monotonic) {
        self.0.push(PendingDrain {
            tickets,
            life,
            started: now,
        });
    }

    /// A worker that had left its slot is dead: answers the clients that waited for it.
    pub(in crate::pool) fn answer_gone(&mut self, life: Life, now: Monotonic, effects: &mut Vec<Effect>) {
        self.0.retain(|drain| {
            if drain.life == life {
                let done = Done::Drained {
                    slot: life.slot,
                    life: Some(life),
                    after: now.since(drain.started),
                };
                answer(&drain.tickets, &Verdict::Done(done), effects);
            }
            drain.life != life
        });
    }
}
