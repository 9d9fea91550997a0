//! The pool itself: takes one event at a time, hands it to whom it concerns, and then compares what is with what should be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::deploy::rollout::{Rollout, RolloutEvent};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, OrphanedWork, Policy};
use super::protocol::event::Event;
use super::random::Random;
use super::replace::Relief;
use super::requests::queue::RequestQueue;
use super::routing::queues::Adoptions;
use super::routing::takeover::Takeovers;
use super::routing::weights::Balance;
use super::slot::history::SlotHistory;
use super::slot::restart::EndOfLife;
use super::slot::slot_state::SlotState;
use super::upgrade::Upgrade;
use super::worker::heartbeat::Stall;
use super::worker::pool_worker::{PoolWorker, WorkerContext, WorkerEvent};
use crate::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;

/// What the cluster as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// Every slot is to be filled.
    Running,
    /// Nobody is started any more; it is over when the last is gone. `cut`: a drain was cut short.
    Stopping { cut: bool },
    /// No worker ever became ready: it is over when the last is gone.
    GivingUp,
    /// `Exit` was said.
    Over,
}

/// What happens once in a master's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Milestones {
    /// Some worker was ready.
    pub(super) ever_ready: bool,
    /// Every slot had a worker that served.
    pub(super) all_serving: bool,
    /// systemd knows that we are ready.
    pub(super) told_ready: bool,
}

/// The master's brain. Serialisable, so that a new master binary can go on where this one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub(super) incarnation: Incarnation,
    pub(super) mode: Mode,
    /// When it was last asked.
    pub(super) now: Monotonic,
    pub(super) next_look: Monotonic,
    pub(super) stall: Stall,
    pub(super) random: Random,
    /// Of every generation that is loaded; a worker is judged by the policy of its own.
    pub(super) policies: BTreeMap<Generation, Policy>,
    /// The generation the cluster is committed to.
    pub(super) current: Generation,
    /// The one before it, to roll back to.
    pub(super) previous: Option<Generation>,
    /// The newest one that was tried.
    pub(super) newest: Generation,
    pub(super) seats: Vec<SlotState>,
    /// Of every slot there ever was, since a slot that comes back goes on counting.
    pub(super) epochs: Vec<Epoch>,
    /// Stands beside a slot's worker to replace it.
    pub(super) replacement: Option<PoolWorker>,
    /// In no slot any more, not dead yet; the oldest first.
    pub(super) leaving: Vec<PoolWorker>,
    pub(super) rollout: Rollout,
    pub(super) desk: RequestQueue,
    pub(super) takeovers: Takeovers,
    /// When what earlier incarnations left is looked through once more: a worker that nobody knew to have outlived its master has
    /// drained by then.
    pub(super) second_sweep: Option<Monotonic>,
    pub(super) adoptions: Adoptions,
    /// A replacement within a generation that is under way.
    pub(super) relief: Option<Relief>,
    /// Of the master itself, under way.
    pub(super) upgrade: Option<Upgrade>,
    /// Of every slot there ever was.
    pub(super) past: Vec<SlotHistory>,
    pub(super) balance: Balance,
    pub(super) steered: Vec<(Slot, u16)>,
    pub(super) milestones: Milestones,
}

/// A worker that lost its master ends within `drain_timeout`, give or take this.
const SWEEP_MARGIN: Duration = Duration::from_secs(5);

/// Who holds a life.
pub(super) enum Place {
    SlotState(usize),
    Replacement,
    Leaving(usize),
}

impl Pool {
    /// A pool with nobody in it yet. `seed` feeds the jitter.
    #[must_use]
    pub fn new(
        policy: Policy,
        incarnation: Incarnation,
        generation: Generation,
        now: Monotonic,
        seed: u64,
    ) -> Pool {
        let slots = super::scale::clamp(policy.workers);
        let seats = (0..slots)
            .map(|slot| SlotState::vacant(Slot(slot), generation, &policy, now))
            .collect();
        Pool {
            incarnation,
            mode: Mode::Running,
            now,
            next_look: now,
            stall: Stall::default(),
            random: Random::seeded(seed),
            policies: BTreeMap::from([(generation, policy)]),
            current: generation,
            previous: None,
            newest: generation,
            seats,
            epochs: vec![Epoch::default(); usize::from(slots)],
            replacement: None,
            leaving: Vec::new(),
            rollout: Rollout::Idle,
            desk: RequestQueue::default(),
            takeovers: Takeovers::default(),
            second_sweep: None,
            adoptions: Adoptions::default(),
            relief: None,
            upgrade: None,
            past: vec![SlotHistory::default(); usize::from(slots)],
            balance: Balance::default(),
            steered: Vec::new(),
            milestones: Milestones::default(),
        }
    }

    /// Begins: listeners, the first life of each slot, and what earlier incarnations left behind.
    pub fn start(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        self.now = now;
        self.takeovers.leave(OrphanedWork::Before(self.incarnation));
        self.second_sweep = Some(now + self.policy().drain_timeout + SWEEP_MARGIN);
        effects.push(Effect::Listen {
            slots: self.slots_ever(),
        });
        self.settle(effects);
    }

    /// One event: what follows from it, and from the time that passed, is appended to `effects`.
    pub fn handle(&mut self, now: Monotonic, event: Event, effects: &mut Vec<Effect>) {
        self.handle_all(now, [event], effects);
    }

    /// All that happened since it was last asked, in step: what follows from it all, and from the time that passed. A look at
    /// 1,024 slots costs one pass over them this way, and a thousand passes one by one.
    pub fn handle_all(
        &mut self,
        now: Monotonic,
        events: impl IntoIterator<Item = Event>,
        effects: &mut Vec<Effect>,
    ) {
        if self.mode == Mode::Over {
            return;
        }
        self.wake(now, effects);
        for event in events {
            self.take(event, effects);
        }
        self.pass_time(effects);
        self.settle(effects);
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Looked => {
                self.weigh();
                self.adoptions.ask_again();
                self.takeovers.ask_again();
            }
            Event::NotAdopted { by, slot } => self.adoptions.refused(slot, by),
            Event::Spawned { life, pid } => self.tell(life, WorkerEvent::Spawned(pid), effects),
            Event::SpawnFailed { life, reason } => self.bury(life, EndOfLife::SpawnFailed(reason), effects),
            Event::Notified { life, notification } => {
                self.tell(life, WorkerEvent::Notified(notification), effects)
            }
            Event::Observed { life, sample } => self.tell(life, WorkerEvent::Observed(sample), effects),
            Event::Examined { life, activity } => self.tell(life, WorkerEvent::Examined(activity), effects),
            Event::Died { life, exit, oom } => self.bury(life, EndOfLife::Exited { exit, oom }, effects),
            Event::Probed { life, verdict } => self.probed(life, verdict, effects),
            Event::OrphanEnded { life } => self.takeovers.leave(OrphanedWork::Life(life)),
            Event::NotTakenOver { by, work } => self.takeovers.refused(by, work),
            Event::TakenOver { by, work } => self.takeovers.settle(by, work),
            Event::Asked { ticket, request } => self.asked(ticket, request, effects),
            Event::Loaded(verdict) => self.loaded(verdict, effects),
            Event::Rehearsed(verdict) => self.rehearsed(verdict, effects),
            Event::Upgraded(verdict) => self.upgraded(verdict, effects),
        }
    }

    /// When the shell has to look at the workers and send `Looked`, if nothing else happens before; `None`: never. Not before
    /// `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Monotonic) -> Option<Monotonic> {
        self.due().map(|due| due.max(now))
    }

    pub(super) fn place(&self, life: Life) -> Option<Place> {
        let seat = life.slot.index();
        if self.seats.get(seat).is_some_and(|seat| seat.is_filled_by(life)) {
            return Some(Place::SlotState(seat));
        }
        if self
            .replacement
            .as_ref()
            .is_some_and(|worker| worker.life == life)
        {
            return Some(Place::Replacement);
        }
        self.leaving
            .iter()
            .position(|worker| worker.life == life)
            .map(Place::Leaving)
    }

    /// Hands an input to the worker it is about; nobody knows it: dropped.
    fn tell(&mut self, life: Life, input: WorkerEvent, effects: &mut Vec<Effect>) {
        match self.place(life) {
            Some(Place::SlotState(index)) => {
                self.in_seat(index, super::slot::slot_state::SlotEvent::Told(input), effects)
            }
            Some(Place::Replacement) => self.in_replacement(input, effects),
            Some(Place::Leaving(index)) => self.in_leaving(index, input, effects),
            None => {}
        }
    }

    /// A worker is gone, or never came to be.
    fn bury(&mut self, life: Life, end: EndOfLife, effects: &mut Vec<Effect>) {
        let Some(place) = self.place(life) else { return };
        self.takeovers.forget(life);
        if !matches!(end, EndOfLife::SpawnFailed(_)) {
            self.takeovers.leave(OrphanedWork::Life(life));
        }
        match place {
            Place::SlotState(index) => {
                // It may have said STOPPING in the same breath.
                self.release_leaver(index, effects);
                match self.place(life) {
                    Some(Place::Leaving(index)) => self.gone(index, &end, effects),
                    Some(Place::SlotState(_) | Place::Replacement) | None => {
                        self.emptied(index, end, effects)
                    }
                }
            }
            Place::Replacement => self.lost_replacement(&end, effects),
            Place::Leaving(index) => self.gone(index, &end, effects),
        }
    }

    /// The policy a generation is judged by.
    pub(super) fn policy_of(&self, generation: Generation) -> &Policy {
        self.policies.get(&generation).unwrap_or_else(|| self.policy())
    }

    /// The policy the cluster as a whole goes by.
    pub(super) fn policy(&self) -> &Policy {
        self.policies
            .get(&self.current)
            .expect("the current generation is never unloaded")
    }

    pub(super) fn context_of<'a>(
        (now, stall): (Monotonic, Stall),
        policies: &'a BTreeMap<Generation, Policy>,
        generation: Generation,
        effects: &'a mut Vec<Effect>,
    ) -> WorkerContext<'a> {
        let policy = policies
            .get(&generation)
            .expect("a generation is unloaded after its last worker");
        WorkerContext {
            now,
            stall,
            policy,
            effects,
        }
    }

    pub(super) fn in_seat(
        &mut self,
        index: usize,
        event: super::slot::slot_state::SlotEvent<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let generation = self.seats[index].runs();
        let mut context = Self::context_of((self.now, self.stall), &self.policies, generation, effects);
        self.seats[index].step(event, &mut context);
    }

    pub(super) fn in_replacement(&mut self, input: WorkerEvent, effects: &mut Vec<Effect>) {
        if let Some(worker) = &mut self.replacement {
            let mut context =
                Self::context_of((self.now, self.stall), &self.policies, worker.generation, effects);
            worker.step(input, &mut context);
        }
    }

    pub(super) fn in_leaving(&mut self, index: usize, input: WorkerEvent, effects: &mut Vec<Effect>) {
        let worker = &mut self.leaving[index];
        let mut context =
            Self::context_of((self.now, self.stall), &self.policies, worker.generation, effects);
        worker.step(input, &mut context);
    }

    /// A new life for a slot: its epoch was never used before.
    pub(super) fn start_life(
        &mut self,
        slot: Slot,
        generation: Generation,
        effects: &mut Vec<Effect>,
    ) -> PoolWorker {
        let epoch = self.epochs[slot.index()].next();
        self.epochs[slot.index()] = epoch;
        let life = Life {
            incarnation: self.incarnation,
            slot,
            epoch,
        };
        let chance = u16::try_from(self.random.draw() >> 48).unwrap_or(0);
        let mut context = Self::context_of((self.now, self.stall), &self.policies, generation, effects);
        PoolWorker::start(life, generation, chance, &mut context)
    }

    /// Every worker there is, wherever it is.
    pub(super) fn all_workers(&self) -> impl Iterator<Item = &PoolWorker> {
        self.seats
            .iter()
            .filter_map(SlotState::worker)
            .chain(&self.replacement)
            .chain(&self.leaving)
    }

    /// The most slots there were at one time; each still has its listener.
    #[must_use]
    pub fn slots_ever(&self) -> u16 {
        u16::try_from(self.epochs.len()).unwrap_or(u16::MAX)
    }

    /// Shows the rollout one fact and does what it orders.
    pub(super) fn show(&mut self, event: RolloutEvent, effects: &mut Vec<Effect>) -> bool {
        let random = self.random.draw();
        let rollout = std::mem::replace(&mut self.rollout, Rollout::Idle);
        let generation = rollout.change().map_or(self.current, |change| change.target);
        let context = super::deploy::rollout::RolloutContext {
            now: self.now,
            policy: self.policy_of(generation),
            random,
        };
        let (rollout, step) = rollout.step(event, context);
        self.rollout = rollout;
        let ordered = step.is_some();
        if let Some(step) = step {
            self.perform(step, effects);
        }
        ordered
    }
}

pub(super) fn announce(announcement: Announcement, effects: &mut Vec<Effect>) {
    effects.push(Effect::Announce(announcement));
}
