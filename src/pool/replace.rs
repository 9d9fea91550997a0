//! One slot's worker replaced by another of the same generation: on request (`restart`), or because it has served its time
//! (`max_requests`, `max_rss`, `max_age`). The same way as a rollout goes: the replacement boots beside, takes the slot when it is
//! ready, and only then the old one goes. One at a time, and never during a rollout.

use serde::{Deserialize, Serialize};

use super::pool::{Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, Policy};
use super::protocol::event::Ticket;
use super::protocol::verdict::{Done, Failure, Verdict};
use super::requests::queue::answer;
use super::slot::slot_state::SlotState;
use super::worker::pool_worker::PoolWorker;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;

/// The part of `max_requests` and `max_age` that chance takes away, so that workers that began together do not end together.
const BY_CHANCE: u64 = 10;

/// A replacement that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Relief {
    pub(super) slot: Slot,
    pub(super) purpose: Purpose,
    /// Who was in the slot when it began.
    from: Option<Life>,
    generation: Generation,
    started: Monotonic,
    pub(super) tickets: Vec<Ticket>,
}

impl Pool {
    /// Starts somebody beside a slot's worker, or for a slot that has none.
    pub(super) fn begin_relief(
        &mut self,
        slot: Slot,
        purpose: Purpose,
        tickets: Vec<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        let seat = &self.seats[slot.index()];
        let generation = seat.generation;
        let from = seat.worker().map(|worker| worker.life);
        announce(Announcement::Replacing { slot, purpose }, effects);
        self.relief = Some(Relief {
            slot,
            purpose,
            from,
            generation,
            started: self.now,
            tickets,
        });
        self.replacement = Some(self.start_life(slot, generation, effects));
    }

    /// Hands the slot over once the replacement serves and one more may drain.
    pub(super) fn relieve(&mut self, effects: &mut Vec<Effect>) {
        let serves = self.replacement.as_ref().is_some_and(PoolWorker::is_serving);
        if !serves || !self.has_room() {
            return;
        }
        let Some(relief) = self.relief.take() else { return };
        let Some(to) = self.swap(relief.purpose, effects) else {
            return;
        };
        let done = Done::Restarted {
            slot: relief.slot,
            from: relief.from,
            to,
            after: self.now.since(relief.started),
        };
        answer(&relief.tickets, &Verdict::Done(done), effects);
    }

    /// The replacement came to nothing: the slot keeps whom it has.
    pub(super) fn not_relieved(&mut self, reason: Failure, effects: &mut Vec<Effect>) {
        let Some(relief) = self.relief.take() else { return };
        let rest = self.policy_of(relief.generation).backoff.longest;
        if let Some(seat) = self.seats.get_mut(relief.slot.index()) {
            seat.spared_until = self.now + rest;
        }
        announce(
            Announcement::NotReplaced {
                slot: relief.slot,
                reason: reason.clone(),
            },
            effects,
        );
        let verdict = Verdict::Failed {
            reason,
            generation: relief.generation,
            after: self.now.since(relief.started),
            slots: Vec::new(),
        };
        answer(&relief.tickets, &verdict, effects);
    }

    /// Begins the replacement of the oldest worker that has served its time.
    pub(super) fn recycle(&mut self, effects: &mut Vec<Effect>) {
        let due = self
            .seats
            .iter()
            .filter_map(|seat| {
                let (ready_at, purpose) = self.served_its_time(seat)?;
                Some((ready_at, seat.slot, purpose))
            })
            .min();
        if let Some((_, slot, purpose)) = due {
            self.begin_relief(slot, purpose, Vec::new(), effects);
        }
    }

    fn served_its_time(&self, seat: &SlotState) -> Option<(Monotonic, Purpose)> {
        let worker = seat.worker().filter(|worker| worker.is_serving())?;
        let policy = self.policies.get(&worker.generation)?;
        let ready_at = worker.ready_at?;
        // One that is too large from its birth must not be replaced without end.
        let rested = ready_at + policy.backoff.longest <= self.now && seat.spared_until <= self.now;
        let purpose = rested
            .then(|| served_its_time(worker, ready_at, policy, self.now))
            .flatten()?;
        Some((ready_at, purpose))
    }
}

fn served_its_time(
    worker: &PoolWorker,
    ready_at: Monotonic,
    policy: &Policy,
    now: Monotonic,
) -> Option<Purpose> {
    if policy
        .max_rss
        .is_some_and(|most| worker.load.rss.is_some_and(|rss| rss > most))
    {
        return Some(Purpose::MaxRss);
    }
    if policy
        .max_requests
        .is_some_and(|most| worker.load.answered.requests >= less_chance(most, worker.chance))
    {
        return Some(Purpose::MaxRequests);
    }
    let age = u64::try_from(now.since(ready_at).as_nanos()).unwrap_or(u64::MAX);
    policy
        .max_age
        .map(|most| u64::try_from(most.as_nanos()).unwrap_or(u64::MAX))
        .is_some_and(|most| age >= less_chance(most, worker.chance))
        .then_some(Purpose::MaxAge)
}

/// `most` less up to a tenth of it.
fn less_chance(most: u64, chance: u16) -> u64 {
    let part = u128::from(most / BY_CHANCE) * u128::from(chance) / u128::from(u16::MAX);
    most - u64::try_from(part).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_at_most_a_tenth() {
        assert_eq!(less_chance(1_000, 0), 1_000);
        assert_eq!(less_chance(1_000, u16::MAX), 900);
        assert_eq!(less_chance(u64::MAX, u16::MAX), u64::MAX - u64::MAX / 10);
    }
}
