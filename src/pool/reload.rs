//! Reloads: what the rollout is shown, and what its steps do to the slots.

use super::deploy::canary::CanaryAnswers;
use super::deploy::context::RolloutContext;
use super::deploy::operation::{Advanced, Operation, RolloutOperation};
use super::deploy::rollout::{
    GenerationChange, ReplacementState, Rollout, RolloutEvent, RolloutStep, RolloutView, TRIES,
};
use super::lifecycle::Mode;
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, SystemdState, announce};
use super::protocol::event::{NotLoaded, Ticket};
use super::protocol::facts::{KillReason, Policy};
use super::protocol::verdict::{Failure, Share};
use super::requests::answers::answer;
use super::slot::slot_state::SlotState;
use super::worker::pool_worker::PoolWorker;
use crate::base::ids::{Generation, Life, Slot};

impl Pool {
    /// A new generation is to be loaded and rolled out.
    pub(super) fn begin_reload(&mut self, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        let target = self.generations_mut().try_next();
        let rollout = Rollout::Loading(self.change_to(target));
        *self.parts().operation = Operation::Rollout(RolloutOperation::new(rollout, tickets, false));
        announce(Announcement::ReloadStarted { generation: target }, effects);
        self.milestones().tell_systemd(SystemdState::Reloading, effects);
        effects.push(Effect::Load(target));
    }

    /// The previous generation is loaded still; its first worker is a canary like any other.
    pub(super) fn begin_rollback(
        &mut self,
        target: Generation,
        tickets: Vec<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        let rollout = Rollout::Booting(self.change_to(target));
        *self.parts().operation = Operation::Rollout(RolloutOperation::new(rollout, tickets, true));
        announce(Announcement::RollbackStarted { generation: target }, effects);
        self.milestones().tell_systemd(SystemdState::Reloading, effects);
        self.apply(RolloutStep::StartCanary(target), effects);
    }

    fn change_to(&self, target: Generation) -> GenerationChange {
        GenerationChange {
            target,
            from: self.generations().current(),
            started: self.now(),
        }
    }

    /// The canary's own readiness answered.
    pub(super) fn probed(&mut self, life: Life, verdict: Result<(), String>, effects: &mut Vec<Effect>) {
        let replacement = self.operation().replacement();
        if replacement.is_some_and(|worker| worker.life == life) {
            self.advance_rollout(RolloutEvent::Probed(life, verdict), effects);
        }
    }

    /// The shell has read the configuration and opened the binary, or could not. If no rollout waits for it
    /// any more, the new generation is let go of.
    pub(super) fn loaded(&mut self, verdict: Result<Policy, NotLoaded>, effects: &mut Vec<Effect>) {
        let Some(Rollout::Loading(change)) = self.operation().rollout() else {
            let newest = self.generations().newest();
            if verdict.is_ok() && !self.generations().is_loaded(newest) {
                effects.push(Effect::Unload(newest));
            }
            return;
        };
        let target = change.target;
        let loaded = match verdict {
            Ok(policy) => {
                self.generations_mut().load(target, policy);
                Ok(())
            }
            Err(NotLoaded::Configuration(reason)) => Err(Failure::BadConfiguration { reason }),
            Err(NotLoaded::Binary(reason)) => Err(Failure::BadBinary { reason }),
        };
        self.advance_rollout(RolloutEvent::Loaded(loaded), effects);
    }

    /// Lets the rollout look at the pool. Whether anything followed from it.
    pub(super) fn look_at_rollout(&mut self, effects: &mut Vec<Effect>) -> bool {
        self.advance_rollout(RolloutEvent::Looked(self.rollout_view()), effects)
    }

    /// Shows the rollout one event, if there is one, and does what it wants done. Whether it wanted anything.
    pub(super) fn advance_rollout(&mut self, event: RolloutEvent, effects: &mut Vec<Effect>) -> bool {
        let random = self.clock_mut().draw();
        let Parts {
            operation,
            conditions,
            ..
        } = self.parts();
        let Some(rollout) = operation.take_rollout() else {
            return false;
        };
        let target = rollout.rollout.change().target;
        let context = RolloutContext {
            now: conditions.now,
            policy: conditions.generations.policy_of(target),
            random,
        };
        match rollout.advance(event, context) {
            Advanced::Continues(rollout, step) => {
                *operation = Operation::Rollout(rollout);
                let goes_on = step.is_some();
                step.into_iter().for_each(|step| self.apply(step, effects));
                goes_on
            }
            Advanced::Finished(change, rollout) => {
                self.finish(change, rollout, effects);
                true
            }
            Advanced::BackedOut(change, rollout, reason) => {
                self.back_out(change, rollout, reason, effects);
                true
            }
        }
    }

    fn rollout_view(&self) -> RolloutView {
        let goal = self.operation().rollout().and_then(Rollout::goal);
        let replacement = self.operation().replacement();
        let slots = self.fleet().slots();
        let replaced = || slots.iter().filter(|state| Some(state.generation) == goal);
        RolloutView {
            replacement: match replacement {
                None => ReplacementState::None,
                Some(worker) if worker.is_serving() => ReplacementState::Serving,
                Some(_) => ReplacementState::NotServing,
            },
            next: goal.and_then(|goal| self.next_to_replace(goal)),
            settled: replaced().all(SlotState::is_serving),
            failing: replaced().any(|state| state.restart.failures >= TRIES),
            room: self.has_room(),
            answers: replacement.map(|canary| self.answers(canary)),
        }
    }

    fn answers(&self, canary: &PoolWorker) -> CanaryAnswers {
        let workers = self.all_workers();
        let old = workers
            .iter()
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
        let new_size = self.generations().new_size(goal);
        let kept = new_size.map_or(usize::MAX, usize::from);
        let mut kept = self.fleet().slots().iter().take(kept);
        kept.find(|state| state.runs() != goal && !state.is_drained())
            .map(|state| state.slot)
    }

    fn apply(&mut self, step: RolloutStep, effects: &mut Vec<Effect>) {
        match step {
            RolloutStep::Start(slot, generation) => self.start_replacement(slot, generation, effects),
            RolloutStep::StartCanary(generation) => {
                self.start_replacement(self.slot_for_canary(), generation, effects);
            }
            RolloutStep::Bake => self.bake(effects),
            RolloutStep::Probe => self.probe(effects),
            RolloutStep::Swap => self.swap_next(effects),
            RolloutStep::Undo(change, reason) => self.undo(change, reason, effects),
        }
    }

    fn slot_for_canary(&self) -> Slot {
        let mut slots = self.fleet().slots().iter();
        let filled = slots.find(|state| !state.is_drained());
        filled.map_or(Slot(0), |state| state.slot)
    }

    fn start_replacement(&mut self, slot: Slot, generation: Generation, effects: &mut Vec<Effect>) {
        let worker = self.start_worker(slot, generation, effects);
        if let Some(rollout) = self.parts().operation.rollout_mut() {
            rollout.replacement = Some(worker);
        }
    }

    fn swap_next(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now();
        let rollout = self.parts().operation.rollout_mut();
        if let Some((worker, purpose)) = rollout.and_then(|rollout| rollout.hand_over(now)) {
            self.swap(worker, purpose, effects);
        }
    }

    /// The canary serves: from here on the answers of all workers are counted anew.
    fn bake(&mut self, effects: &mut Vec<Effect>) {
        let Parts { fleet, operation, .. } = self.parts();
        let workers = fleet.workers_mut().chain(operation.replacement_mut());
        workers.for_each(|worker| worker.load.mark());
        if let Some(rollout) = self.operation().rollout_operation()
            && let Some(PoolWorker { life, generation, .. }) = &rollout.replacement
        {
            let (request, life, generation) = (rollout.request(), *life, *generation);
            let bake_time = self.generations().policy_of(generation).bake_time;
            announce(
                Announcement::Baking {
                    request,
                    life,
                    generation,
                    bake_time,
                },
                effects,
            );
        }
        self.probe(effects);
    }

    fn probe(&self, effects: &mut Vec<Effect>) {
        let replacement = self.operation().replacement();
        effects.extend(replacement.map(|worker| Effect::Probe { life: worker.life }));
    }

    /// The replaced slots are to run the old generation again.
    fn undo(&mut self, change: GenerationChange, reason: Failure, effects: &mut Vec<Effect>) {
        if let Some(rollout) = self.operation().rollout_operation() {
            announce(
                Announcement::BackingOut {
                    request: rollout.request(),
                    generation: change.target,
                    reason,
                },
                effects,
            );
        }
        self.dismiss_replacement(effects);
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let slots = fleet.slots_mut().iter_mut();
        for state in slots.filter(|state| state.generation == change.target) {
            state.change_generation(change.from, conditions.generations.policy_of(change.from));
            state.end_wait();
        }
    }

    /// Every slot runs the new generation.
    fn finish(&mut self, change: GenerationChange, rollout: RolloutOperation, effects: &mut Vec<Effect>) {
        let target = change.target;
        let size = self.generations().new_size(target);
        self.generations_mut().commit(target);
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let drained = fleet.slots_mut().iter_mut().filter(|state| state.is_drained());
        drained.for_each(|state| state.generation = target);
        let after = conditions.now.since(change.started);
        announce(
            Announcement::Reloaded {
                request: rollout.request(),
                generation: target,
                after,
            },
            effects,
        );
        effects.push(Effect::Serve(target));
        self.tell_systemd_ready(effects);
        let started = change.started;
        let runs_programs = self.generations().policy_of(change.target).runs_programs;
        let (tickets, done) = rollout.done(change, runs_programs, self.now());
        let from = self.size();
        let to = size.unwrap_or(from);
        self.resize(to, effects);
        let Parts { requests, .. } = self.parts();
        for ticket in tickets {
            // Where the configuration has more slots than before, the reload is done when they serve.
            let scales = &mut requests.scales;
            scales.add(ticket, (from, to), started, done.clone(), effects);
        }
    }

    /// The old generation is whole; the new one is given up.
    fn back_out(
        &mut self,
        change: GenerationChange,
        mut rollout: RolloutOperation,
        reason: Failure,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(worker) = rollout.replacement.take() {
            self.dismiss(worker, KillReason::BackedOut, Purpose::BackOut, effects);
        }
        effects.push(Effect::Serve(change.from));
        announce(
            Announcement::BackedOut {
                request: rollout.request(),
                generation: change.target,
                reason: reason.clone(),
            },
            effects,
        );
        self.tell_systemd_ready(effects);
        let (tickets, verdict) = rollout.failed(change, reason, self.now());
        answer(&tickets, &verdict, effects);
    }

    fn tell_systemd_ready(&self, effects: &mut Vec<Effect>) {
        if self.mode() == Mode::Running {
            self.milestones().tell_systemd(SystemdState::Ready, effects);
        }
    }
}
