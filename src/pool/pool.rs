//! The pool itself: takes events in batches, hands each one to the part it concerns, and then compares what
//! is with what should be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::PoolClock;
use super::deploy::generations::Generations;
use super::deploy::operation::Operation;
use super::fleet::{AllWorkers, Fleet};
use super::lifecycle::{Milestones, Mode};
use super::parts::Parts;
use super::protocol::effect::Effect;
use super::protocol::event::Event;
use super::protocol::facts::{OrphanedWork, Policy};
use super::requests::queue::RequestQueue;
use super::routing::state::Routing;
use super::slot::bounds::clamp;
use super::slot::slot_state::SlotEvent;
use super::upgrade;
use super::worker::context::Conditions;
use super::worker::end_of_life::EndOfLife;
use super::worker::pool_worker::{PoolWorker, WorkerEvent};
use crate::base::ids::{Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;

/// The part of the master that decides. Serialisable, so that a new master binary can go on where this one
/// was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    incarnation: Incarnation,
    mode: Mode,
    milestones: Milestones,
    clock: PoolClock,
    generations: Generations,
    fleet: Fleet,
    operation: Operation,
    requests: RequestQueue,
    routing: Routing,
}

/// A worker that lost its master ends within `drain_timeout`, give or take this.
const SWEEP_MARGIN: Duration = Duration::from_secs(5);

/// Where a worker is.
pub(super) enum Position {
    Slot(Slot),
    Replacement,
    Leaving(usize),
}

impl Pool {
    /// A pool without workers. `seed` feeds the jitter.
    #[must_use]
    pub fn new(
        policy: Policy,
        incarnation: Incarnation,
        generation: Generation,
        now: Monotonic,
        seed: u64,
    ) -> Pool {
        Pool {
            incarnation,
            mode: Mode::Running,
            milestones: Milestones::default(),
            clock: PoolClock::new(now, seed),
            fleet: Fleet::new(clamp(policy.workers), generation, &policy, now),
            generations: Generations::new(generation, policy),
            operation: Operation::None,
            requests: RequestQueue::default(),
            routing: Routing::default(),
        }
    }

    /// There were this many slots before this master, and each still has its listener: what waits at a slot
    /// that there is no more is served by a worker of another one.
    pub fn remember_slots(&mut self, slots: u16) {
        self.fleet.slots_mut().remember(slots);
    }

    /// Begins: listeners, the first life of each slot, and what earlier incarnations left behind.
    pub fn start(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        self.clock.start(now);
        let drained = now + self.generations.policy().drain_timeout + SWEEP_MARGIN;
        self.routing.start(self.incarnation, drained);
        let first = effects.len();
        effects.push(Effect::Listen {
            slots: self.slots_ever(),
        });
        self.reconcile(first, effects);
    }

    /// One event: what follows from it, and from the time that passed, is appended to `effects`.
    pub fn handle(&mut self, now: Monotonic, event: Event, effects: &mut Vec<Effect>) {
        self.handle_all(now, [event], effects);
    }

    /// All events since the pool was last asked, in order: what follows from them all, and from the time that
    /// passed, is appended to `effects`. A look at 1,024 slots costs one pass over them this way, and a
    /// thousand passes one by one.
    pub fn handle_all(
        &mut self,
        now: Monotonic,
        events: impl IntoIterator<Item = Event>,
        effects: &mut Vec<Effect>,
    ) {
        if self.mode == Mode::Over {
            return;
        }
        let first = effects.len();
        self.wake(now, effects);
        for event in events {
            self.take(event, effects);
        }
        self.pass_time(effects);
        self.reconcile(first, effects);
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Looked => self.looked(),
            Event::Spawned { life, pid } => {
                self.tell(life, WorkerEvent::Spawned(pid), effects);
                self.forewarn_if_stopping(effects);
            }
            Event::SpawnFailed { life, reason } => {
                self.worker_ended(life, EndOfLife::SpawnFailed(reason), effects)
            }
            Event::Notified { life, notification } => {
                self.tell(life, WorkerEvent::Notified(notification), effects);
            }
            Event::Observed { life, sample } => self.tell(life, WorkerEvent::Observed(sample), effects),
            Event::Examined { life, activity } => self.tell(life, WorkerEvent::Examined(activity), effects),
            Event::Died { life, exit, oom } => {
                self.worker_ended(life, EndOfLife::Exited { exit, oom }, effects)
            }
            Event::Probed { life, verdict } => self.probed(life, verdict, effects),
            Event::NotAdopted { by, slot } => self.routing.not_adopted(slot, by),
            Event::NotTakenOver { by, work } => self.routing.not_taken_over(by, work),
            Event::TakenOver { by, work } => self.routing.taken_over(by, work),
            Event::OrphanEnded { life } => self.routing.add_orphaned_work(OrphanedWork::Life(life)),
            Event::Asked { ticket, request } => self.asked(ticket, request, effects),
            Event::Loaded(verdict) => self.loaded(verdict.map(|policy| *policy), effects),
            Event::Rehearsed(verdict) => upgrade::rehearsed(self.parts(), verdict, effects),
            Event::Upgraded(verdict) => {
                upgrade::upgraded(self.parts(), verdict, effects);
                self.routing.stub().restart(effects);
            }
            Event::StubEnded { reason } => self.routing.stub_ended(reason, self.clock.now(), effects),
        }
    }

    /// When the shell has to look at the workers and send `Looked`, if nothing else happens before; `None`:
    /// never. Not before `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Monotonic) -> Option<Monotonic> {
        self.due().map(|due| due.max(now))
    }

    /// Every worker has been looked at.
    fn looked(&mut self) {
        if self.mode.serves() {
            let now = self.clock.now();
            let (routing, workers, generations) = self.routing_mut();
            routing.weigh(workers, now, generations);
        }
        self.routing.ask_again();
    }

    pub(super) fn position(&self, life: Life) -> Option<Position> {
        let state = self.fleet.slots().get(life.slot);
        if state.is_some_and(|state| state.is_filled_by(life)) {
            return Some(Position::Slot(life.slot));
        }
        let replacement = self.operation.replacement();
        if replacement.is_some_and(|worker| worker.life == life) {
            return Some(Position::Replacement);
        }
        let leaving = self.fleet.leaving().iter();
        leaving
            .map(|worker| worker.life)
            .position(|leaving| leaving == life)
            .map(Position::Leaving)
    }

    /// Hands an event to the worker it is about. An event about an unknown life is dropped.
    fn tell(&mut self, life: Life, event: WorkerEvent, effects: &mut Vec<Effect>) {
        match self.position(life) {
            Some(Position::Slot(slot)) => self.step_slot(slot, SlotEvent::Worker(event), effects),
            Some(Position::Replacement) => self.step_replacement(event, effects),
            Some(Position::Leaving(index)) => self.step_leaving(index, event, effects),
            None => {}
        }
    }

    pub(super) fn step_slot(&mut self, slot: Slot, event: SlotEvent, effects: &mut Vec<Effect>) {
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        fleet.step_slot(slot, event, conditions, effects);
    }

    pub(super) fn step_replacement(&mut self, event: WorkerEvent, effects: &mut Vec<Effect>) {
        let Parts {
            operation,
            conditions,
            ..
        } = self.parts();
        if let Some(worker) = operation.replacement_mut() {
            let generation = worker.generation;
            worker.step(event, &mut conditions.context(generation, effects));
        }
    }

    pub(super) fn step_leaving(&mut self, index: usize, event: WorkerEvent, effects: &mut Vec<Effect>) {
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        fleet.step_leaving(index, event, conditions, effects);
    }

    /// Starts a worker for a slot, in a life that never was before.
    pub(super) fn start_worker(
        &mut self,
        slot: Slot,
        generation: Generation,
        effects: &mut Vec<Effect>,
    ) -> PoolWorker {
        let life = Life::new(self.incarnation, slot, self.fleet.slots_mut().next_epoch(slot));
        let chance = u16::try_from(self.clock.draw() >> 48).unwrap_or(0);
        let mut context = self.conditions().context(generation, effects);
        PoolWorker::start(life, generation, chance, &mut context)
    }
}

/// How the other files of this folder reach the parts.
impl Pool {
    pub(super) fn parts(&mut self) -> Parts<'_> {
        Parts {
            fleet: &mut self.fleet,
            operation: &mut self.operation,
            requests: &mut self.requests,
            milestones: &mut self.milestones,
            conditions: Conditions {
                now: self.clock.now(),
                stall: self.clock.stall(),
                generations: &self.generations,
            },
        }
    }

    pub(super) fn conditions(&self) -> Conditions<'_> {
        Conditions {
            now: self.clock.now(),
            stall: self.clock.stall(),
            generations: &self.generations,
        }
    }

    pub(super) fn all_workers(&self) -> AllWorkers<'_> {
        AllWorkers {
            fleet: &self.fleet,
            replacement: self.operation.replacement(),
        }
    }

    pub(super) fn routing_mut(&mut self) -> (&mut Routing, AllWorkers<'_>, &Generations) {
        let workers = AllWorkers {
            fleet: &self.fleet,
            replacement: self.operation.replacement(),
        };
        (&mut self.routing, workers, &self.generations)
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn mode_mut(&mut self) -> &mut Mode {
        &mut self.mode
    }

    pub(super) fn milestones(&self) -> Milestones {
        self.milestones
    }

    pub(super) fn clock(&self) -> &PoolClock {
        &self.clock
    }

    pub(super) fn clock_mut(&mut self) -> &mut PoolClock {
        &mut self.clock
    }

    pub(super) fn now(&self) -> Monotonic {
        self.clock.now()
    }

    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    pub(super) fn generations_mut(&mut self) -> &mut Generations {
        &mut self.generations
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn operation(&self) -> &Operation {
        &self.operation
    }

    pub(super) fn requests(&self) -> &RequestQueue {
        &self.requests
    }

    pub(super) fn routing(&self) -> &Routing {
        &self.routing
    }
}
