//! After every event: what is, compared with what should be. The order is that of urgency for clients: who leaves is unrouted
//! and the dead one's work handed on before anybody is started.

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, SystemdState};
use super::slot::slot_state::{Seat, State};
use super::worker::pool_worker::Member;
use crate::base::ids::{Generation, Life};

/// The weight of a slot that gets its full share of new connections.
pub const FULL_SHARE: u16 = 256;

impl Pool {
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.release_leavers(effects);
        self.roll(effects);
        self.thin_crowd(effects);
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
            .filter_map(Seat::member)
            .filter(|member| member.is_serving())
            .map(|member| member.life)
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
            .filter(|seat| seat.member().is_some_and(Member::is_serving))
            .count();
        let any_ready = self.members().any(|member| member.ready_at.is_some());
        self.milestones.ever_ready |= any_ready;
        if !self.milestones.told_ready && serving > 0 && self.seats.iter().all(has_verdict) {
            self.milestones.told_ready = true;
            effects.push(Effect::Tell(SystemdState::Ready));
        }
        if !self.milestones.all_serving && serving == self.seats.iter().filter(|seat| !seat.is_held()).count()
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
            || self.rollout.job().is_some_and(|job| job.target == generation)
            || self.seats.iter().any(|seat| seat.generation == generation)
            || self.members().any(|member| member.generation == generation)
    }
}

/// Whether a slot's first boot is decided: one bad slot must not keep systemd waiting for the others.
fn has_verdict(seat: &Seat) -> bool {
    match seat.state() {
        State::Vacant | State::Held | State::BackingOff { .. } | State::Degraded { .. } => true,
        State::Filled(member) => member.ready_at.is_some() || seat.record.restarts > 0,
    }
}
