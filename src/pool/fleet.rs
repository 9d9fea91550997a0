//! The workers of the pool that are no replacements: those in slots, and those that have left their slot and
//! are not dead yet.

use serde::{Deserialize, Serialize};

use super::protocol::certificate::{Decision, Purpose};
use super::protocol::effect::Effect;
use super::protocol::facts::{KillReason, Policy};
use super::slot::history;
use super::slot::restart::RestartDecision;
use super::slot::slot_state::{SlotEvent, SlotState};
use super::slot::slots::Slots;
use super::worker::context::Conditions;
use super::worker::end_of_life::EndOfLife;
use super::worker::pool_worker::{PoolWorker, WorkerEvent, WorkerPhase};
use crate::base::ids::{Generation, Slot};
use crate::base::time::Monotonic;

/// The slots, and the workers that left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fleet {
    slots: Slots,
    /// Workers in no slot any more, not dead yet; the oldest first.
    leaving: Vec<PoolWorker>,
}

impl Fleet {
    /// A fleet of that many empty slots.
    pub(super) fn new(size: u16, generation: Generation, policy: &Policy, now: Monotonic) -> Fleet {
        let mut slots = Slots::default();
        for slot in 0..size {
            slots.add(SlotState::vacant(Slot(slot), generation, policy, now));
        }
        Fleet {
            slots,
            leaving: Vec::new(),
        }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn slots_mut(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// A slot that exists.
    pub(super) fn slot(&self, slot: Slot) -> &SlotState {
        self.slots.get(slot).expect("the slot exists")
    }

    pub(super) fn slot_mut(&mut self, slot: Slot) -> &mut SlotState {
        self.slots.get_mut(slot).expect("the slot exists")
    }

    pub(super) fn leaving(&self) -> &[PoolWorker] {
        &self.leaving
    }

    /// Every worker that can be changed, the replacement aside.
    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut PoolWorker> {
        let in_slots = self.slots.iter_mut().filter_map(SlotState::worker_mut);
        in_slots.chain(&mut self.leaving)
    }

    /// One thing happened to a slot that exists.
    pub(super) fn step_slot(
        &mut self,
        slot: Slot,
        event: SlotEvent,
        conditions: Conditions<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let state = self.slot_mut(slot);
        let generation = state.runs();
        state.step(event, &mut conditions.context(generation, effects));
    }

    /// One thing happened to a worker that has left its slot.
    pub(super) fn step_leaving(
        &mut self,
        index: usize,
        event: WorkerEvent,
        conditions: Conditions<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let worker = &mut self.leaving[index];
        let generation = worker.generation;
        worker.step(event, &mut conditions.context(generation, effects));
    }

    /// A worker that is in no slot any more drains or is killed, as `how` says.
    pub(super) fn dismiss(
        &mut self,
        worker: PoolWorker,
        how: WorkerEvent,
        purpose: Purpose,
        conditions: Conditions<'_>,
        effects: &mut Vec<Effect>,
    ) {
        self.leaving.push(PoolWorker {
            purpose: Some(purpose),
            ..worker
        });
        self.step_leaving(self.leaving.len() - 1, how, conditions, effects);
    }

    /// A worker that drains already, without having been asked, is in no slot any more.
    pub(super) fn let_go(&mut self, worker: PoolWorker) {
        self.leaving.push(PoolWorker {
            purpose: Some(Purpose::Itself),
            ..worker
        });
    }

    /// How many workers drain.
    pub(super) fn draining(&self) -> usize {
        self.leaving
            .iter()
            .filter(|worker| matches!(worker.phase, WorkerPhase::Draining { .. }))
            .count()
    }

    /// Whether one more worker may be replaced.
    pub(super) fn has_room(&self, policy: &Policy) -> bool {
        self.draining() < usize::from(policy.max_draining.max(1))
    }

    /// Upper bound of draining workers: `max_draining` replaced ones, and one for each slot there ever was,
    /// because scaling down drains workers without replacing them.
    pub(super) fn max_draining(&self, policy: &Policy) -> usize {
        usize::from(policy.max_draining) + usize::from(self.slots.ever())
    }

    /// Kills the workers that have drained longest until no more than [`Fleet::max_draining`] drain.
    pub(super) fn enforce_drain_limit(&mut self, conditions: Conditions<'_>, effects: &mut Vec<Effect>) {
        let limit = self.max_draining(conditions.generations.policy());
        while self.draining() > limit {
            let draining = self.leaving.iter().enumerate();
            let draining =
                draining.filter(|(_, worker)| matches!(worker.phase, WorkerPhase::Draining { .. }));
            let longest = draining.min_by_key(|(index, worker)| (worker.draining_since(), *index));
            let Some((index, _)) = longest else { return };
            let kill = WorkerEvent::Killed(KillReason::DrainLimit);
            self.step_leaving(index, kill, conditions, effects);
        }
    }

    /// The worker of a slot ended unasked: its certificate.
    pub(super) fn certify_crash(
        &mut self,
        worker: &PoolWorker,
        end: &EndOfLife,
        decision: RestartDecision,
        now: Monotonic,
    ) {
        let decision = history::decision_after_crash(decision, self.slot(worker.life.slot));
        let cause = history::cause(worker, end);
        self.certify(history::certificate(worker, end, cause, decision, now));
    }

    /// A replacement ended; the slot keeps its worker.
    pub(super) fn certify_replacement(&mut self, worker: &PoolWorker, end: &EndOfLife, now: Monotonic) {
        let cause = history::cause(worker, end);
        self.certify(history::certificate(worker, end, cause, Decision::None, now));
    }

    /// A worker that had left its slot is dead: takes it off the list, and writes its certificate. `refills`:
    /// whether empty slots are filled at all.
    pub(super) fn remove_leaving(
        &mut self,
        index: usize,
        end: &EndOfLife,
        refills: bool,
        now: Monotonic,
    ) -> PoolWorker {
        let worker = self.leaving.remove(index);
        let state = self.slots.get(worker.life.slot);
        let decision = history::decision_after_leaving(&worker, state, refills, now);
        let cause = history::cause_after_leaving(&worker, end);
        self.certify(history::certificate(&worker, end, cause, decision, now));
        worker
    }

    fn certify(&mut self, certificate: super::protocol::certificate::Certificate) {
        if let Some(history) = self.slots.history_mut(certificate.life.slot) {
            history.add(certificate);
        }
    }
}

/// Every worker there is: those of the fleet, and the replacement of the operation under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct AllWorkers<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) replacement: Option<&'a PoolWorker>,
}

impl<'a> AllWorkers<'a> {
    /// Workers in slots first, then the replacement, then those that leave.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a PoolWorker> {
        let in_slots = self.fleet.slots.iter().filter_map(SlotState::worker);
        in_slots.chain(self.replacement).chain(&self.fleet.leaving)
    }

    /// The slots whose own worker fits, or whose replacement does: a replacement shares the listener of its
    /// slot.
    pub(super) fn slots_with(self, fits: impl Fn(&PoolWorker) -> bool) -> Vec<Slot> {
        let replacement = self.replacement.filter(|worker| fits(worker));
        let replaced = replacement.map(|worker| worker.life.slot);
        let slots = self.fleet.slots.iter();
        slots
            .filter(|state| state.worker().is_some_and(&fits) || replaced == Some(state.slot))
            .map(|state| state.slot)
            .collect()
    }
}
