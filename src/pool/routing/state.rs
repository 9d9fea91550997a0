//! All that the pool remembers of routing: adopted queues, orphaned work, the weights of the slots and what
//! was last told of them.

use serde::{Deserialize, Serialize};

use super::orphaned_work::Takeovers;
use super::queues::{Adoptions, Candidates};
use super::stub::StubState;
use super::weights::{Balance, is_much_like};
use crate::base::ids::{Incarnation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::deploy::generations::Generations;
use crate::pool::fleet::AllWorkers;
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::facts::{OrphanedWork, Policy};

/// Who gets what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Routing {
    adoptions: Adoptions,
    takeovers: Takeovers,
    balance: Balance,
    /// The weights that were told last, by slot.
    steered: Vec<(Slot, u16)>,
    stub: StubState,
}

impl Routing {
    pub(in crate::pool) fn adoptions(&self) -> &Adoptions {
        &self.adoptions
    }

    pub(in crate::pool) fn takeovers(&self) -> &Takeovers {
        &self.takeovers
    }

    pub(in crate::pool) fn stub(&self) -> StubState {
        self.stub
    }

    /// Starts or stops the stub, if that is due.
    pub(in crate::pool) fn keep_stub(&mut self, is_needed: bool, now: Monotonic, effects: &mut Vec<Effect>) {
        self.stub = self.stub.kept(is_needed, now, effects);
    }

    pub(in crate::pool) fn stub_ended(&mut self, reason: String, now: Monotonic, effects: &mut Vec<Effect>) {
        self.stub = self.stub.ended(reason, now, effects);
    }

    /// When loads have to be looked at, or earlier incarnations once more.
    pub(in crate::pool) fn deadlines(&self) -> impl Iterator<Item = Monotonic> + use<> {
        let due = [
            self.balance.next_sample(),
            self.takeovers.deadline(),
            self.stub.deadline(),
        ];
        due.into_iter().flatten()
    }

    /// The weight that was told last; `None`: the slot gets no new connections.
    pub(in crate::pool) fn weight(&self, slot: Slot) -> Option<u16> {
        let at = self.steered.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        Some(self.steered[at].1)
    }

    /// Work of earlier incarnations is to be taken over now, and once more at that instant.
    pub(in crate::pool) fn start(&mut self, incarnation: Incarnation, again_at: Monotonic) {
        self.takeovers.start(incarnation, again_at);
    }

    pub(in crate::pool) fn pass_time(&mut self, incarnation: Incarnation, now: Monotonic) {
        self.takeovers.pass_time(incarnation, now);
    }

    /// Time has passed since workers could not be reached: they are asked again.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.adoptions.ask_again();
        self.takeovers.ask_again();
    }

    pub(in crate::pool) fn not_adopted(&mut self, slot: Slot, by: Life) {
        self.adoptions.not_delivered(slot, by);
    }

    pub(in crate::pool) fn not_taken_over(&mut self, by: Life, work: OrphanedWork) {
        self.takeovers.not_delivered(by, work);
    }

    pub(in crate::pool) fn taken_over(&mut self, by: Life, work: OrphanedWork) {
        self.takeovers.done(by, work);
    }

    pub(in crate::pool) fn add_orphaned_work(&mut self, work: OrphanedWork) {
        self.takeovers.add(work);
    }

    /// A worker is dead: it takes nothing over any more.
    pub(in crate::pool) fn worker_ended(&mut self, life: Life) {
        self.takeovers.worker_ended(life);
    }

    /// Every worker has been looked at: weighs the slots anew while traffic flows.
    pub(in crate::pool) fn weigh(
        &mut self,
        workers: AllWorkers<'_>,
        now: Monotonic,
        generations: &Generations,
    ) {
        self.balance.weigh(workers, now, generations.beat_interval());
    }

    /// Tells the weights, if they differ from the last ones by enough.
    pub(in crate::pool) fn steer(
        &mut self,
        workers: AllWorkers<'_>,
        now: Monotonic,
        policy: &Policy,
        effects: &mut Vec<Effect>,
    ) {
        let weights = self.balance.weights(workers, now, policy);
        if !is_much_like(&weights, &self.steered) {
            self.steered.clone_from(&weights);
            effects.push(Effect::Steer(weights));
        }
    }

    /// Finds a worker for the queue of every slot without a ready worker.
    pub(in crate::pool) fn adopt(
        &mut self,
        workers: AllWorkers<'_>,
        policy: &Policy,
        effects: &mut Vec<Effect>,
    ) {
        if !self.adoptions.is_idle(workers.fleet.slots()) {
            let candidates = Candidates::of(workers, policy.runs_programs);
            self.adoptions.reconcile(&candidates, effects);
        }
    }

    /// Finds a worker for all orphaned work. Replacements are not asked.
    pub(in crate::pool) fn assign_takeovers(&mut self, workers: AllWorkers<'_>, effects: &mut Vec<Effect>) {
        if self.takeovers.pending().is_empty() {
            return;
        }
        let in_slots = workers.fleet.slots().iter().filter_map(|state| state.worker());
        let serving: Vec<Life> = in_slots
            .filter(|worker| worker.is_serving())
            .map(|worker| worker.life)
            .collect();
        self.takeovers.assign(&serving, effects);
    }
}
