//! The number of slots: within bounds, the highest slot goes first, and a slot's listener stays when the slot
//! goes.

use super::deploy::operation::Operation;
use super::deploy::rollout::{Rollout, RolloutEvent};
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, announce};
use super::protocol::event::{Request, Ticket};
use super::protocol::facts::KillReason;
use super::protocol::verdict::{Done, Failure};
use super::requests::answers::refuse;
use super::slot::bounds::BOUNDS;
use super::slot::slot_state::SlotState;
use super::worker::pool_worker::WorkerEvent;
use crate::base::ids::Slot;

impl Pool {
    /// Works during a rollout, too: a slot that is added gets the rollout's generation (before its canary has
    /// baked: the current one), and the replacement of a slot that goes, goes with it. The scaling ends when
    /// every added slot serves.
    pub(super) fn scale(&mut self, ticket: Ticket, request: Request, to: i64, effects: &mut Vec<Effect>) {
        let from = self.size();
        match self.check_scale(to) {
            Ok(to) => {
                self.resize(to, effects);
                let Parts {
                    requests, conditions, ..
                } = self.parts();
                let done = Done::Scaled { from, to };
                let scales = &mut requests.scales;
                scales.add(ticket, (from, to), conditions.now, done, effects);
            }
            Err(reason) => refuse(&[ticket], request, reason, effects),
        }
    }

    fn check_scale(&self, to: i64) -> Result<u16, String> {
        let (least, most, from) = (*BOUNDS.start(), *BOUNDS.end(), self.size());
        let wanted = u16::try_from(to).ok().filter(|to| BOUNDS.contains(to));
        let to = wanted.ok_or_else(|| {
            format!("asked for {to} workers, expected {least} to {most}; the number stays at {from}")
        })?;
        self.check_that_one_stays(to)?;
        let limit = self.fleet().max_draining(self.generations().policy());
        let (draining, going) = (self.fleet().draining(), usize::from(from.saturating_sub(to)));
        if going > 0 && draining + going > limit {
            return Err(format!(
                "{draining} workers drain still, and {going} more would be more than may drain at once \
                 ({limit}); ask again when some are gone; the number stays at {from}"
            ));
        }
        Ok(to)
    }

    /// Where a slot that goes serves, one that stays must serve, too: a drained slot is filled again only
    /// then, and until its worker is ready nobody would answer.
    fn check_that_one_stays(&self, to: u16) -> Result<(), String> {
        let slots = self.fleet().slots();
        let (stay, go): (Vec<&SlotState>, Vec<&SlotState>) =
            slots.iter().partition(|state| state.slot.0 < to);
        let serves = |slots: &[&SlotState]| slots.iter().any(|state| state.is_serving());
        if !serves(&go) || serves(&stay) {
            return Ok(());
        }
        Err(format!(
            "none of the slots that would stay ({to}, counted from slot 0) serves now; ask again when one does \
             (restart fills a drained slot); the number stays at {}",
            self.size()
        ))
    }

    pub(super) fn size(&self) -> u16 {
        self.fleet().slots().size()
    }

    pub(super) fn resize(&mut self, to: u16, effects: &mut Vec<Effect>) {
        let (from, ever) = (self.size(), self.slots_ever());
        if from == to {
            return;
        }
        announce(Announcement::Scaled { from, to }, effects);
        (from..to).for_each(|slot| self.add_slot(Slot(slot)));
        if ever < to {
            effects.push(Effect::Listen { slots: to });
        }
        while self.size() > to {
            self.remove_last_slot(effects);
        }
        let Parts { fleet, .. } = self.parts();
        if fleet.slots().iter().all(SlotState::is_drained) {
            // A cluster of drained slots alone would answer no client.
            fleet.slots_mut().iter_mut().for_each(SlotState::end_drained);
        }
    }

    fn add_slot(&mut self, slot: Slot) {
        let goal = self.operation().rollout().and_then(Rollout::goal);
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let generation = goal.unwrap_or(conditions.generations.current());
        let policy = conditions.generations.policy_of(generation);
        let state = SlotState::vacant(slot, generation, policy, conditions.now);
        fleet.slots_mut().add(state);
    }

    fn remove_last_slot(&mut self, effects: &mut Vec<Effect>) {
        let Some(slot) = self.fleet().slots().numbers().last() else {
            return;
        };
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let worker = fleet.slot_mut(slot).clear(conditions.now);
        fleet.slots_mut().remove_last();
        if let Some(worker) = worker {
            let purpose = Purpose::ScaleDown;
            fleet.dismiss(worker, WorkerEvent::Retired, purpose, conditions, effects);
        }
        let replacement = self.operation().replacement();
        if replacement.is_some_and(|worker| worker.life.slot == slot) {
            if let Some(worker) = self.parts().operation.take_replacement() {
                self.dismiss(worker, KillReason::NotNeeded, Purpose::ScaleDown, effects);
            }
            self.slot_of_replacement_removed(slot, effects);
        }
    }

    /// A rollout that has baked goes on with the other slots; one that has only this canary (the slots below
    /// are drained) is given up.
    fn slot_of_replacement_removed(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let reason = Failure::SlotRemoved { slot };
        match self.operation() {
            Operation::Replace(_) => self.replace_failed(reason, effects),
            Operation::Rollout(operation) => match operation.rollout {
                Rollout::Booting(_) | Rollout::Baking { .. } => {
                    self.advance_rollout(RolloutEvent::Lost(reason), effects);
                }
                Rollout::Loading(_) | Rollout::Rolling { .. } | Rollout::Undoing { .. } => {}
            },
            Operation::None | Operation::Upgrade(_) => {}
        }
    }

    /// The first worker of a slot that was added came to nothing: goes back to this number of slots, which
    /// removes everything that was added on top as well.
    pub(super) fn scale_failed(&mut self, size: u16, reason: &Failure, effects: &mut Vec<Effect>) {
        if size < self.size() {
            self.resize(size, effects);
        }
        self.fail_scales_above(size, reason, effects);
    }

    pub(super) fn fail_scales_above(&mut self, size: u16, reason: &Failure, effects: &mut Vec<Effect>) {
        let Parts {
            requests, conditions, ..
        } = self.parts();
        let at = (conditions.generations.current(), conditions.now);
        requests.scales.fail_above(size, reason, at, effects);
    }
}
