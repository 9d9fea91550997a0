//! A replacement beside a slot's worker takes over the slot, is sent away, or comes to nothing; and the
//! replacement of one worker by another one of the same generation: on request (`restart`), or because it has
//! served its time (`max_requests`, `max_rss`, `max_age`). New before old, one at a time, and never during a
//! rollout.

use super::deploy::operation::{Operation, ReplaceOperation};
use super::deploy::rollout::RolloutEvent;
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, announce};
use super::protocol::event::Ticket;
use super::protocol::facts::{KillReason, Policy};
use super::protocol::verdict::Failure;
use super::requests::answers::answer;
use super::routing::weights::settled_at;
use super::slot::slot_state::{SlotEvent, SlotState};
use super::worker::end_of_life::EndOfLife;
use super::worker::pool_worker::{PoolWorker, WorkerEvent, WorkerPhase};
use crate::base::ids::Slot;
use crate::base::time::Monotonic;

/// The part of `max_requests` and `max_age` that chance takes away, so that workers that began together do
/// not end together.
const BY_CHANCE: u64 = 10;

impl Pool {
    /// Starts a replacement beside a slot's worker, or for a slot that has none.
    pub(super) fn begin_replace(
        &mut self,
        slot: Slot,
        purpose: Purpose,
        waiters: Vec<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        announce(Announcement::Replacing { slot, purpose }, effects);
        let state = self.fleet().slot(slot);
        let generation = state.generation;
        let from = state.worker().map(|worker| worker.life);
        let replacement = Some(self.start_worker(slot, generation, effects));
        let started = self.now();
        *self.parts().operation = Operation::Replace(ReplaceOperation {
            slot,
            purpose,
            from,
            generation,
            started,
            replacement,
            waiters,
        });
    }

    /// Hands the slot over once the replacement serves and one more worker may drain.
    pub(super) fn replace_when_ready(&mut self, effects: &mut Vec<Effect>) {
        let ready = match self.operation() {
            Operation::Replace(operation) => operation.is_ready(),
            Operation::None | Operation::Rollout(_) | Operation::Upgrade(_) => false,
        };
        if !ready || !self.has_room() {
            return;
        }
        let Some(mut operation) = self.parts().operation.take_replace() else {
            return;
        };
        if let Some(worker) = operation.replacement.take() {
            let to = worker.life;
            self.swap(worker, operation.purpose, effects);
            answer(&operation.waiters, &operation.done(to, self.now()), effects);
        }
    }

    /// The replacement came to nothing: the slot keeps its worker.
    pub(super) fn replace_failed(&mut self, reason: Failure, effects: &mut Vec<Effect>) {
        let Parts {
            fleet,
            operation,
            conditions,
            ..
        } = self.parts();
        let Some(operation) = operation.take_replace() else {
            return;
        };
        let (now, slot) = (conditions.now, operation.slot);
        let policy = conditions.generations.policy_of(operation.generation);
        if let Some(state) = fleet.slots_mut().get_mut(slot) {
            state.spared_until = now + policy.backoff.longest;
        }
        announce(
            Announcement::NotReplaced {
                slot,
                reason: reason.clone(),
            },
            effects,
        );
        answer(&operation.waiters, &operation.failed(reason, now), effects);
    }

    /// New before old: the replacement takes over the slot, and the slot's former worker drains.
    pub(super) fn swap(&mut self, replacement: PoolWorker, purpose: Purpose, effects: &mut Vec<Effect>) {
        let (slot, generation) = (replacement.life.slot, replacement.generation);
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let state = fleet.slot_mut(slot);
        let old = state.clear(conditions.now);
        if state.generation != generation || purpose == Purpose::Restart {
            state.change_generation(generation, conditions.generations.policy_of(generation));
        }
        fleet.step_slot(slot, SlotEvent::Taken(Box::new(replacement)), conditions, effects);
        if let Some(old) = old {
            fleet.dismiss(old, WorkerEvent::Retired, purpose, conditions, effects);
        }
    }

    /// The replacement is sent away: at once while it boots, since it has accepted nothing, otherwise by
    /// draining.
    pub(super) fn dismiss_replacement(&mut self, effects: &mut Vec<Effect>) {
        let (purpose, killed) = match self.operation() {
            Operation::Replace(_) => (Purpose::NotNeeded, KillReason::NotNeeded),
            Operation::None | Operation::Rollout(_) | Operation::Upgrade(_) => {
                (Purpose::BackOut, KillReason::BackedOut)
            }
        };
        if let Some(worker) = self.parts().operation.take_replacement() {
            self.dismiss(worker, killed, purpose, effects);
        }
    }

    /// A worker that was to take over a slot goes.
    pub(super) fn dismiss(
        &mut self,
        worker: PoolWorker,
        killed: KillReason,
        purpose: Purpose,
        effects: &mut Vec<Effect>,
    ) {
        let how = match worker.phase {
            WorkerPhase::Starting { .. } => WorkerEvent::Killed(killed),
            WorkerPhase::Serving { .. }
            | WorkerPhase::Late { .. }
            | WorkerPhase::Draining { .. }
            | WorkerPhase::Killed { .. } => WorkerEvent::Retired,
        };
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        fleet.dismiss(worker, how, purpose, conditions, effects);
    }

    /// The replacement is dead.
    pub(super) fn replacement_died(&mut self, end: &EndOfLife, effects: &mut Vec<Effect>) {
        let Parts {
            fleet,
            operation,
            conditions,
            ..
        } = self.parts();
        if let Some(worker) = operation.take_replacement() {
            fleet.certify_replacement(&worker, end, conditions.now);
            self.replacement_lost(end.failure(&worker), effects);
        }
    }

    /// Lets the replacement go if it said STOPPING by itself.
    pub(super) fn release_replacement(&mut self, effects: &mut Vec<Effect>) {
        let Parts { fleet, operation, .. } = self.parts();
        if !operation.replacement().is_some_and(PoolWorker::is_leaving) {
            return;
        }
        if let Some(worker) = operation.take_replacement() {
            let reason = EndOfLife::LeftByItself.failure(&worker);
            fleet.let_go(worker);
            self.replacement_lost(reason, effects);
        }
    }

    fn replacement_lost(&mut self, reason: Failure, effects: &mut Vec<Effect>) {
        match self.operation() {
            Operation::Replace(_) => self.replace_failed(reason, effects),
            Operation::Rollout(_) => {
                self.advance_rollout(RolloutEvent::Lost(reason), effects);
            }
            Operation::None | Operation::Upgrade(_) => {}
        }
    }

    /// Begins the replacement of the oldest worker that has served its time.
    pub(super) fn recycle(&mut self, effects: &mut Vec<Effect>) {
        let slots = self.fleet().slots().iter();
        let due = slots.filter_map(|state| {
            let (ready_at, purpose) = self.reason_to_recycle(state)?;
            Some((ready_at, state.slot, purpose))
        });
        if let Some((_, slot, purpose)) = due.min() {
            self.begin_replace(slot, purpose, Vec::new(), effects);
        }
    }

    fn reason_to_recycle(&self, state: &SlotState) -> Option<(Monotonic, Purpose)> {
        let worker = state.worker().filter(|worker| worker.is_serving())?;
        let policy = self.generations().policy_of(worker.generation);
        let ready_at = worker.ready_at?;
        // A worker that is too large from its birth must not be replaced without end.
        let rested = ready_at + policy.backoff.longest <= self.now() && state.spared_until <= self.now();
        let purpose = rested.then(|| served_its_time(worker, ready_at, policy, self.now()));
        Some((ready_at, purpose.flatten()?))
    }

    /// Whether one more worker may be replaced.
    pub(super) fn has_room(&self) -> bool {
        let policy = self.generations().policy();
        self.fleet().has_room(policy) && !(policy.runs_programs && self.settles())
    }

    /// Whether a slot is spared because its former program was asked to end a moment ago.
    fn settles(&self) -> bool {
        let mut settled = self.fleet().leaving().iter().filter_map(settled_at);
        settled.any(|at| self.now() < at)
    }
}

fn served_its_time(
    worker: &PoolWorker,
    ready_at: Monotonic,
    policy: &Policy,
    now: Monotonic,
) -> Option<Purpose> {
    let (load, chance) = (&worker.load, worker.chance);
    let age = nanos(now.since(ready_at));
    let too_large = |most: u64| load.rss.is_some_and(|rss| rss > most);
    let answered_enough = |most| load.answered.requests >= less_chance(most, chance);
    if policy.max_rss.is_some_and(too_large) {
        Some(Purpose::MaxRss)
    } else if policy.max_requests.is_some_and(answered_enough) {
        Some(Purpose::MaxRequests)
    } else {
        let max_age = policy.max_age.map(nanos);
        max_age
            .is_some_and(|most| age >= less_chance(most, chance))
            .then_some(Purpose::MaxAge)
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
