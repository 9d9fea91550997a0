//! Every slot there ever was. A slot that is scaled away keeps its entry: when the slot comes back, its
//! epochs go on counting, and its history is still there.

use serde::{Deserialize, Serialize};

use super::history::SlotHistory;
use super::slot_state::SlotState;
use crate::base::ids::{Epoch, Slot};

/// One slot there ever was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SlotEntry {
    /// How often the slot was filled.
    epoch: Epoch,
    history: SlotHistory,
    /// `None`: the slot was scaled away.
    state: Option<SlotState>,
}

/// Every slot there ever was, in order. The slots that exist now are the first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::pool) struct Slots(Vec<SlotEntry>);

impl Slots {
    /// How many slots there are.
    pub(in crate::pool) fn size(&self) -> u16 {
        count(self.0.partition_point(|entry| entry.state.is_some()))
    }

    /// How many slots there were at most; each of them still has its listener.
    pub(in crate::pool) fn ever(&self) -> u16 {
        count(self.0.len())
    }

    /// Whether the slots that exist are the first ones, and there is one at least.
    pub(in crate::pool) fn are_whole(&self) -> bool {
        let first = self.iter().count();
        first > 0 && self.0[first..].iter().all(|entry| entry.state.is_none())
    }

    pub(in crate::pool) fn numbers(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.size()).map(Slot)
    }

    pub(in crate::pool) fn iter(&self) -> impl Iterator<Item = &SlotState> {
        self.0.iter().map_while(|entry| entry.state.as_ref())
    }

    pub(in crate::pool) fn iter_mut(&mut self) -> impl Iterator<Item = &mut SlotState> {
        self.0.iter_mut().map_while(|entry| entry.state.as_mut())
    }

    pub(in crate::pool) fn get(&self, slot: Slot) -> Option<&SlotState> {
        self.0.get(slot.index())?.state.as_ref()
    }

    pub(in crate::pool) fn get_mut(&mut self, slot: Slot) -> Option<&mut SlotState> {
        self.0.get_mut(slot.index())?.state.as_mut()
    }

    /// Adds the slot behind the last one, which may have existed before.
    pub(in crate::pool) fn add(&mut self, state: SlotState) {
        let place = state.slot.index();
        if place == self.0.len() {
            self.0.push(SlotEntry::default());
        }
        self.0[place].state = Some(state);
    }

    /// There ever were at least this many slots.
    pub(in crate::pool) fn remember(&mut self, slots: u16) {
        let slots = usize::from(slots).max(self.0.len());
        self.0.resize_with(slots, SlotEntry::default);
    }

    /// Scales the last slot away; its entry stays.
    pub(in crate::pool) fn remove_last(&mut self) {
        if let Some(last) = usize::from(self.size()).checked_sub(1) {
            self.0[last].state = None;
        }
    }

    /// The epoch of the slot's next life, which was never used before.
    pub(in crate::pool) fn next_epoch(&mut self, slot: Slot) -> Epoch {
        let entry = &mut self.0[slot.index()];
        entry.epoch = entry.epoch.next();
        entry.epoch
    }

    /// The history of a slot, also of one that was scaled away.
    pub(in crate::pool) fn history(&self, slot: Slot) -> Option<&SlotHistory> {
        self.0.get(slot.index()).map(|entry| &entry.history)
    }

    pub(in crate::pool) fn history_mut(&mut self, slot: Slot) -> Option<&mut SlotHistory> {
        self.0.get_mut(slot.index()).map(|entry| &mut entry.history)
    }
}

fn count(slots: usize) -> u16 {
    u16::try_from(slots).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Generation;
    use crate::pool::fixture::{at, policy};

    fn add(slots: &mut Slots, slot: u16) {
        slots.add(SlotState::vacant(Slot(slot), Generation(1), &policy(), at(0)));
    }

    #[test]
    fn a_slot_that_comes_back_goes_on_counting() {
        let mut slots = Slots::default();
        (0..2).for_each(|slot| add(&mut slots, slot));
        let first = slots.next_epoch(Slot(1));
        slots.remove_last();
        assert_eq!((slots.size(), slots.ever()), (1, 2));
        assert!(slots.get(Slot(1)).is_none() && slots.history(Slot(1)).is_some());
        add(&mut slots, 1);
        assert_eq!(slots.next_epoch(Slot(1)), first.next());
        assert!(slots.are_whole());
    }

    #[test]
    fn slots_with_a_hole_and_no_slots_are_not_whole() {
        let mut slots = Slots::default();
        assert!(!slots.are_whole());
        (0..3).for_each(|slot| add(&mut slots, slot));
        for hole in [0, 1] {
            let mut slots = slots.clone();
            slots.0[hole].state = None;
            assert!(!slots.are_whole(), "without slot {hole}");
        }
    }
}
