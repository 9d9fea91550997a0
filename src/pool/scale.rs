//! The number of slots: within bounds, the highest goes first, and a slot's listener stays when the slot goes.

use super::deploy::rollout::{Rollout, RolloutEvent};
use super::pool::{Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::Effect;
use super::protocol::event::{Request, Ticket};
use super::protocol::verdict::Failure;
use super::requests::queue::refuse;
use super::slot::history::SlotHistory;
use super::slot::slot_state::SlotState;
use crate::base::ids::{Epoch, Slot};

/// The fewest and the most slots a cluster may have.
pub const BOUNDS: std::ops::RangeInclusive<u16> = 1..=1024;

pub(super) fn clamp(workers: u16) -> u16 {
    workers.clamp(*BOUNDS.start(), *BOUNDS.end())
}

impl Pool {
    /// Works during a rollout too: a slot that is added gets what the rollout leads to (before its canary has baked: what
    /// serves), and the replacement of a slot that goes, goes with it.
    pub(super) fn scale(&mut self, ticket: Ticket, request: Request, to: i64, effects: &mut Vec<Effect>) {
        let from = self.size();
        match self.scaled(to) {
            Ok(to) => {
                self.resize(to, effects);
                self.grow(ticket, from, to, effects);
            }
            Err(reason) => refuse(&[ticket], request, reason, effects),
        }
    }

    fn scaled(&self, to: i64) -> Result<u16, String> {
        let (least, most, from) = (*BOUNDS.start(), *BOUNDS.end(), self.size());
        let to = u16::try_from(to)
            .ok()
            .filter(|to| BOUNDS.contains(to))
            .ok_or_else(|| {
                format!("asked for {to} workers, expected {least} to {most}; it stays at {from}")
            })?;
        let (draining, going) = (self.draining(), usize::from(from.saturating_sub(to)));
        if going > 0 && draining + going > self.draining_limit() {
            return Err(format!(
                "{draining} workers drain still, and {going} more would be more than may drain at once ({}); ask again when some \
                 are gone; it stays at {from}",
                self.draining_limit()
            ));
        }
        Ok(to)
    }

    pub(super) fn size(&self) -> u16 {
        u16::try_from(self.seats.len()).unwrap_or(u16::MAX)
    }

    pub(super) fn resize(&mut self, to: u16, effects: &mut Vec<Effect>) {
        let from = self.size();
        if from == to {
            return;
        }
        announce(Announcement::Scaled { from, to }, effects);
        for slot in from..to {
            self.add(Slot(slot));
        }
        if from < to && self.slots_ever() < to {
            self.epochs.resize(usize::from(to), Epoch::default());
            self.past.resize_with(usize::from(to), SlotHistory::default);
            effects.push(Effect::Listen { slots: to });
        }
        while self.size() > to {
            self.remove_highest(effects);
        }
        if self.seats.iter().all(SlotState::is_drained) {
            // A cluster of drained slots alone would answer nobody.
            self.seats.iter_mut().for_each(SlotState::end_drained);
        }
    }

    fn add(&mut self, slot: Slot) {
        let generation = self.rollout.goal().unwrap_or(self.current);
        self.seats.push(SlotState::vacant(
            slot,
            generation,
            self.policy_of(generation),
            self.now,
        ));
    }

    fn remove_highest(&mut self, effects: &mut Vec<Effect>) {
        let Some(index) = self.seats.len().checked_sub(1) else {
            return;
        };
        let worker = self.clear(index, effects);
        self.seats.pop();
        if let Some(worker) = worker {
            self.retire(worker, Purpose::ScaleDown, effects);
        }
        if self
            .replacement
            .as_ref()
            .is_some_and(|replacement| replacement.life.slot.index() == index)
        {
            self.dismiss_replacement(effects);
            let slot = Slot(self.size());
            self.removed_under(slot, effects);
        }
    }

    /// Whoever was to take that slot goes with it. A rollout that has baked goes on with the others; one that has only this
    /// canary (the slots below are drained) is given up.
    fn removed_under(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let reason = Failure::SlotRemoved { slot };
        match self.rollout {
            Rollout::Booting(_) | Rollout::Baking { .. } => {
                self.show(RolloutEvent::Lost(reason), effects);
            }
            Rollout::Idle => self.not_relieved(reason, effects),
            Rollout::Loading(_) | Rollout::Rolling { .. } | Rollout::Undoing { .. } => {}
        }
    }
}
