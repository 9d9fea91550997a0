//! What is, compared with what should be, after every batch of events. The order is that of urgency for
//! clients: workers that leave are unrouted, and the work of the dead is handed on, before any worker is
//! started.

use super::lifecycle::Mode;
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, SystemdState, announce};
use super::routing::stub::is_stub_needed;
use super::slot::slot_state::{Occupancy, SlotState};
use super::upgrade;
use crate::base::ids::Generation;

impl Pool {
    /// `first`: where the effects of this batch of events begin.
    pub(super) fn reconcile(&mut self, first: usize, effects: &mut Vec<Effect>) {
        self.release_leavers(effects);
        self.go_on_with_operation(effects);
        self.enforce_drain_limit(effects);
        self.route(effects);
        self.fill_slots(effects);
        self.keep_stub(effects);
        self.pass_milestones(effects);
        self.answer_scales(effects);
        self.unload(effects);
        self.consider_giving_up(effects);
        self.consider_exit(effects);
        effects.extend(upgrade::go_on(self.parts().operation, &effects[first..]));
    }

    fn go_on_with_operation(&mut self, effects: &mut Vec<Effect>) {
        self.release_replacement(effects);
        self.replace_when_ready(effects);
        while self.look_at_rollout(effects) {}
        while self.begin_next(effects) {}
        if self.mode() == Mode::Running && self.operation().is_none() {
            self.recycle(effects);
        }
    }

    /// Not while stopping, when every worker drains and no other follows.
    fn enforce_drain_limit(&mut self, effects: &mut Vec<Effect>) {
        if self.mode().serves() {
            let Parts {
                fleet, conditions, ..
            } = self.parts();
            fleet.enforce_drain_limit(conditions, effects);
        }
    }

    fn route(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now();
        let (routing, workers, generations) = self.routing_mut();
        routing.steer(workers, now, generations.policy(), effects);
        routing.adopt(workers, generations.policy(), effects);
        routing.assign_takeovers(workers, effects);
    }

    /// Behind the filling of slots, which may have found no program to start.
    fn keep_stub(&mut self, effects: &mut Vec<Effect>) {
        let (is_running, now) = (self.mode() == Mode::Running, self.now());
        let (routing, workers, _) = self.routing_mut();
        routing.keep_stub(is_running && is_stub_needed(workers), now, effects);
    }

    fn pass_milestones(&mut self, effects: &mut Vec<Effect>) {
        if self.mode() != Mode::Running {
            return;
        }
        let any_ready = self.all_workers().iter().any(|worker| worker.ready_at.is_some());
        let Parts {
            fleet, milestones, ..
        } = self.parts();
        let slots = fleet.slots();
        let serving = slots.iter().filter(|state| state.is_serving()).count();
        milestones.ever_ready |= any_ready;
        if !milestones.told_ready && serving > 0 && slots.iter().all(is_first_boot_decided) {
            milestones.told_ready = true;
            effects.push(Effect::Tell(SystemdState::Ready));
        }
        let wanted = slots.iter().filter(|state| !state.is_drained()).count();
        if !milestones.all_serving && serving == wanted {
            milestones.all_serving = true;
            let workers = slots.size();
            announce(Announcement::Serving { workers }, effects);
        }
    }

    fn answer_scales(&mut self, effects: &mut Vec<Effect>) {
        let Parts { fleet, requests, .. } = self.parts();
        requests.scales.answer_done(fleet.slots(), effects);
    }

    /// A generation goes when no worker runs it, none will, and it is not the one to roll back to.
    fn unload(&mut self, effects: &mut Vec<Effect>) {
        let unneeded: Vec<Generation> = self
            .generations()
            .unneeded(|generation| self.is_needed(generation));
        for generation in unneeded {
            self.generations_mut().unload(generation);
            effects.push(Effect::Unload(generation));
        }
    }

    fn is_needed(&self, generation: Generation) -> bool {
        let rollout = self.operation().rollout();
        rollout.is_some_and(|rollout| rollout.change().target == generation)
            || self
                .fleet()
                .slots()
                .iter()
                .any(|state| state.generation == generation)
            || self
                .all_workers()
                .iter()
                .any(|worker| worker.generation == generation)
    }
}

/// Whether a slot's first boot has come to an end: one bad slot must not keep systemd waiting for the others.
fn is_first_boot_decided(state: &SlotState) -> bool {
    match state.occupancy() {
        Occupancy::Vacant
        | Occupancy::Drained
        | Occupancy::BackingOff { .. }
        | Occupancy::Degraded { .. } => true,
        Occupancy::Filled(worker) => worker.ready_at.is_some() || state.restart.restarts > 0,
    }
}
