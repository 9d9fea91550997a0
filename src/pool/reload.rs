//! Reloads: what the rollout is shown and what its orders do to the slots.

use super::deploy::canary::CanaryAnswers;
use super::deploy::rollout::{
    GenerationChange, ReplacementState, Rollout, RolloutEvent, RolloutStep, RolloutView, TRIES,
};
use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, Policy, SystemdState};
use super::protocol::event::{NotLoaded, Ticket};
use super::protocol::verdict::{Failure, Share};
use super::requests::queue::RolloutWaiters;
use super::slot::slot_state::SlotState;
use super::worker::pool_worker::PoolWorker;
use crate::base::ids::{Generation, Life, Slot};

impl Pool {
    /// A new generation is to be loaded and rolled out.
    pub(super) fn begin_reload(&mut self, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        self.desk.waiters = Some(RolloutWaiters::begun(tickets, false));
        self.newest = self.newest.next();
        self.rollout = Rollout::Loading(GenerationChange {
            target: self.newest,
            from: self.current,
            started: self.now,
        });
        announce(
            Announcement::ReloadStarted {
                generation: self.newest,
            },
            effects,
        );
        if self.milestones.told_ready {
            effects.push(Effect::Tell(SystemdState::Reloading));
        }
        effects.push(Effect::Load(self.newest));
    }

    /// The previous generation is loaded still; its first worker is a canary like any other.
    pub(super) fn begin_rollback(
        &mut self,
        target: Generation,
        tickets: Vec<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        self.desk.waiters = Some(RolloutWaiters::begun(tickets, true));
        self.rollout = Rollout::Booting(GenerationChange {
            target,
            from: self.current,
            started: self.now,
        });
        announce(Announcement::RollbackStarted { generation: target }, effects);
        if self.milestones.told_ready {
            effects.push(Effect::Tell(SystemdState::Reloading));
        }
        self.perform(RolloutStep::StartCanary(target), effects);
    }

    /// The canary's own readiness answered.
    pub(super) fn probed(&mut self, life: Life, verdict: Result<(), String>, effects: &mut Vec<Effect>) {
        if self
            .replacement
            .as_ref()
            .is_some_and(|worker| worker.life == life)
        {
            self.show(RolloutEvent::Probed(life, verdict), effects);
        }
    }

    /// The shell has read the configuration and opened the binary, or not. Nobody waits for it any more: let go of it.
    pub(super) fn loaded(&mut self, verdict: Result<Policy, NotLoaded>, effects: &mut Vec<Effect>) {
        let Rollout::Loading(change) = self.rollout else {
            if verdict.is_ok() && !self.policies.contains_key(&self.newest) {
                effects.push(Effect::Unload(self.newest));
            }
            return;
        };
        let event = match verdict {
            Ok(policy) => {
                self.policies.insert(change.target, policy);
                Ok(())
            }
            Err(NotLoaded::Configuration(reason)) => Err(Failure::BadConfiguration { reason }),
            Err(NotLoaded::Binary(reason)) => Err(Failure::BadBinary { reason }),
        };
        self.show(RolloutEvent::Loaded(event), effects);
    }

    /// Lets the rollout look until it has nothing more to step; begins the next one that was asked for.
    pub(super) fn roll(&mut self, effects: &mut Vec<Effect>) {
        self.release_replacement(effects);
        if self.relief.is_some() {
            self.relieve(effects);
        }
        while self.show(RolloutEvent::Looked(self.view()), effects) {}
        while self.begin_next(effects) {}
        if self.mode == Mode::Running && self.is_free() {
            self.recycle(effects);
        }
    }

    fn view(&self) -> RolloutView {
        let goal = self.rollout.goal();
        let replaced = |seat: &&SlotState| Some(seat.generation) == goal;
        RolloutView {
            beside: match &self.replacement {
                None => ReplacementState::None,
                Some(worker) if worker.is_serving() => ReplacementState::Serving,
                Some(_) => ReplacementState::NotServing,
            },
            next: goal.and_then(|goal| self.next_to_replace(goal)),
            settled: self
                .seats
                .iter()
                .filter(replaced)
                .all(|seat| seat.worker().is_some_and(PoolWorker::is_serving)),
            failing: self
                .seats
                .iter()
                .filter(replaced)
                .any(|seat| seat.restart.failures >= TRIES),
            room: self.has_room(),
            answers: self.replacement.as_ref().map(|canary| self.answers(canary)),
        }
    }

    fn answers(&self, canary: &PoolWorker) -> CanaryAnswers {
        let old = self
            .all_workers()
            .filter(|worker| worker.generation != canary.generation)
            .map(|worker| worker.load.since_mark());
        CanaryAnswers {
            life: canary.life,
            new: canary.load.since_mark(),
            old: old.fold(Share::default(), Share::and),
        }
    }

    /// Slots that the new configuration removes need no new worker; they keep the old one until then.
    fn next_to_replace(&self, goal: Generation) -> Option<Slot> {
        let kept = self.new_size(goal).map_or(usize::MAX, usize::from);
        self.seats
            .iter()
            .take(kept)
            .find(|seat| seat.runs() != goal && !seat.is_drained())
            .map(|seat| seat.slot)
    }

    /// The number of slots a generation brings, if its configuration asks for another one than the current's. Otherwise
    /// the number stays what it is, for it may have been scaled by hand.
    fn new_size(&self, generation: Generation) -> Option<u16> {
        let workers = self.policy_of(generation).workers;
        (workers != self.policy().workers).then(|| super::scale::clamp(workers))
    }

    pub(super) fn perform(&mut self, step: RolloutStep, effects: &mut Vec<Effect>) {
        match step {
            RolloutStep::Start(slot, generation) => {
                self.replacement = Some(self.start_life(slot, generation, effects));
            }
            RolloutStep::StartCanary(generation) => {
                let free = self.seats.iter().find(|seat| !seat.is_drained());
                let slot = free.map_or(Slot(0), |seat| seat.slot);
                self.replacement = Some(self.start_life(slot, generation, effects));
            }
            RolloutStep::Bake => self.bake(effects),
            RolloutStep::Probe => self.probe(effects),
            RolloutStep::Swap => {
                let undoing = matches!(self.rollout, Rollout::Undoing { .. });
                let purpose = if undoing {
                    Purpose::BackOut
                } else {
                    Purpose::Reload
                };
                self.swap(purpose, effects);
            }
            RolloutStep::Undo(change, reason) => self.undo(change, reason, effects),
            RolloutStep::Finish(change) => self.finish(change, effects),
            RolloutStep::BackOut(change, reason) => {
                self.dismiss_replacement(effects);
                effects.push(Effect::Serve(change.from));
                announce(
                    Announcement::BackedOut {
                        generation: change.target,
                        reason: reason.clone(),
                    },
                    effects,
                );
                self.tell_reloaded(effects);
                self.not_rolled(change, reason, effects);
            }
        }
    }

    fn bake(&mut self, effects: &mut Vec<Effect>) {
        self.everybody(|worker| worker.load.mark());
        self.say_baking(effects);
        self.probe(effects);
    }

    fn probe(&self, effects: &mut Vec<Effect>) {
        effects.extend(
            self.replacement
                .as_ref()
                .map(|worker| Effect::Probe { life: worker.life }),
        );
    }

    fn everybody(&mut self, deed: impl Fn(&mut PoolWorker)) {
        self.seats
            .iter_mut()
            .filter_map(SlotState::worker_mut)
            .chain(&mut self.replacement)
            .chain(&mut self.leaving)
            .for_each(deed);
    }

    fn say_baking(&self, effects: &mut Vec<Effect>) {
        if let Some(PoolWorker { life, generation, .. }) = self.replacement {
            let bake_time = self.policy_of(generation).bake_time;
            announce(
                Announcement::Baking {
                    life,
                    generation,
                    bake_time,
                },
                effects,
            );
        }
    }

    fn undo(&mut self, change: GenerationChange, reason: Failure, effects: &mut Vec<Effect>) {
        announce(
            Announcement::BackingOut {
                generation: change.target,
                reason,
            },
            effects,
        );
        self.dismiss_replacement(effects);
        for index in 0..self.seats.len() {
            if self.seats[index].generation == change.target {
                self.refit(index, change.from);
                self.seats[index].hurry();
            }
        }
    }

    fn finish(&mut self, change: GenerationChange, effects: &mut Vec<Effect>) {
        let size = self.new_size(change.target);
        self.current = change.target;
        self.previous = Some(change.from);
        for seat in self.seats.iter_mut().filter(|seat| seat.is_drained()) {
            seat.generation = change.target;
        }
        announce(
            Announcement::Reloaded {
                generation: change.target,
                after: self.now.since(change.started),
            },
            effects,
        );
        effects.push(Effect::Serve(change.target));
        self.tell_reloaded(effects);
        self.rolled(change, effects);
        if let Some(size) = size {
            self.resize(size, effects);
        }
    }

    pub(super) fn tell_reloaded(&self, effects: &mut Vec<Effect>) {
        if self.milestones.told_ready && self.mode == Mode::Running {
            effects.push(Effect::Tell(SystemdState::Ready));
        }
    }
}
