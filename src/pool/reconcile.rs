//! After every event: what is, compared with what should be. The order is that of urgency for clients: who leaves is unrouted
//! and the dead one's work handed on before anybody is started.

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, SystemdState};
use super::slot::slot_state::{Occupancy, SlotState};
use super::worker::pool_worker::PoolWorker;
use crate::base::ids::{Generation, Life};

/// The weight of a slot that gets its full share of new connections.
pub const FULL_SHARE: u16 = 256;

impl Pool {
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.release_leavers(effects);
        self.roll(effects);
        self.enforce_drain_limit(effects);
        self.steer(effects);
        self.adopt(effects);
        self.assign_takeovers(effects);
        self.fill(effects);
        self.pass_milestones(effects);
        self.answer_growths(effects);
        self.unload(effects);
        self.consider_giving_up(effects);
        self.consider_exit(effects);
    }

    fn assign_takeovers(&mut self, effects: &mut Vec<Effect>) {
        if self.takeovers.pending().is_empty() {
            return;
        }
        let serving: Vec<Life> = self
            .seats
            .iter()
            .filter_map(SlotState::worker)
            .filter(|worker| worker.is_serving())
            .map(|worker| worker.life)
            .collect();
        self.takeovers.assign_takeovers(&serving, effects);
    }

    fn pass_milestones(&mut self, effects: &mut Vec<Effect>) {
        if self.mode != Mode::Running {
            return;
        }
        let serving = self
            .seats
            .iter()
            .filter(|seat| seat.worker().is_some_and(PoolWorker::is_serving))
            .count();
        let any_ready = self.all_workers().any(|worker| worker.ready_at.is_some());
        self.milestones.ever_ready |= any_ready;
        if !self.milestones.told_ready && serving > 0 && self.seats.iter().all(has_verdict) {
            self.milestones.told_ready = true;
            effects.push(Effect::Tell(SystemdState::Ready));
        }
        if !self.milestones.all_serving
            && serving == self.seats.iter().filter(|seat| !seat.is_drained()).count()
        {
            self.milestones.all_serving = true;
            announce(Announcement::Serving { workers: self.size() }, effects);
        }
    }

    /// A generation goes when nobody runs it, nobody will, and it is not the one to roll back to.
    fn unload(&mut self, effects: &mut Vec<Effect>) {
        let unneeded: Vec<Generation> = self
            .policies
            .keys()
            .copied()
            .filter(|generation| !self.is_needed(*generation))
            .collect();
        for generation in unneeded {
            self.policies.remove(&generation);
            effects.push(Effect::Unload(generation));
        }
    }

    fn is_needed(&self, generation: Generation) -> bool {
        generation == self.current
            || self.previous == Some(generation)
            || self
                .rollout
                .change()
                .is_some_and(|change| change.target == generation)
            || self.seats.iter().any(|seat| seat.generation == generation)
            || self.all_workers().any(|worker| worker.generation == generation)
    }
}

/// Whether a slot's first boot is decided: one bad slot must not keep systemd waiting for the others.
fn has_verdict(seat: &SlotState) -> bool {
    match seat.state() {
        Occupancy::Vacant
        | Occupancy::Drained
        | Occupancy::BackingOff { .. }
        | Occupancy::Degraded { .. } => true,
        Occupancy::Filled(worker) => worker.ready_at.is_some() || seat.restart.restarts > 0,
    }
}
