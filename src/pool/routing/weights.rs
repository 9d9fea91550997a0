//! When to weigh the slots, and from what: samples of each worker's load, about ten times a second while traffic flows and never
//! otherwise. How loads become weights is [`super::steering`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::steering::{SlotLoad, weights};
use crate::base::ids::Slot;
use crate::base::time::{Grid, Monotonic};
use crate::pool::pool::{Mode, Pool};
use crate::pool::protocol::effect::Effect;
use crate::pool::reconcile::FULL_SHARE;
use crate::pool::worker::heartbeat::look_behind;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerPhase};

/// While traffic flows the loads are looked at about this often.
const GLANCE: Duration = Duration::from_millis(100);
/// Arrivals of so many glances are foreseen: less, and a correction that is not seen yet is made twice.
const FORESEEN: u64 = 4;
/// Weights that moved by less are left alone: a sixteenth of a full share.
const WORTH_TELLING: u16 = FULL_SHARE / 16;

/// What steering remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Balance {
    weighed: Monotonic,
    /// Open connections, accepted ones and answers of everybody together.
    seen: (u64, u64, u64),
    /// By how many sixteenths of a connection the cluster is expected to grow.
    foreseen: u64,
    weights: BTreeMap<Slot, u16>,
    /// While traffic flows: when to look again, if nothing else is due before.
    pub(in crate::pool) glance: Option<Monotonic>,
}

impl Balance {
    pub(in crate::pool) fn weight(&self, slot: Slot) -> u16 {
        self.weights.get(&slot).copied().unwrap_or(FULL_SHARE)
    }

    /// Takes in the sums of a look. Whether traffic flows.
    fn flows(&mut self, seen: (u64, u64, u64), now: Monotonic) -> bool {
        let before = std::mem::replace(&mut self.seen, seen);
        let past = now.since(self.weighed).max(Duration::from_millis(1));
        self.weighed = now;
        let grown = seen.0.saturating_sub(before.0).saturating_mul(16);
        let per_glance = u128::from(grown) * GLANCE.as_nanos() / past.as_nanos();
        let foreseen = u64::try_from(per_glance)
            .unwrap_or(u64::MAX)
            .saturating_mul(FORESEEN);
        self.foreseen = foreseen.max(self.foreseen / 4 * 3);
        seen != before
    }
}

/// The next instant for a look between two looks of the beats' grid. All of them lie between that look and the next point of
/// the grid, where no beat is due: a look right behind a point would take those for late who are about to stamp.
fn glance_after(now: Monotonic, interval: Duration) -> Option<Monotonic> {
    let behind = look_behind(interval);
    let parts = u32::try_from(interval.as_nanos().div_ceil(GLANCE.as_nanos())).unwrap_or(u32::MAX);
    let step = (interval - behind) / parts;
    let grid = Grid::new(interval);
    let point = Monotonic(grid.after(now).0.saturating_sub(nanos(interval)));
    let first = point + behind;
    let passed = now.since(first).as_nanos() / step.as_nanos().max(1);
    let next = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
    (next < parts && now >= first).then(|| first + step * next)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Pool {
    /// Every worker has been looked at: weighs the slots anew when traffic flows.
    pub(in crate::pool) fn weigh(&mut self) {
        if self.mode != Mode::Running || self.now.since(self.balance.weighed) < GLANCE / 4 {
            return;
        }
        let sum = |of: fn(&PoolWorker) -> u64| self.all_workers().map(of).fold(0, u64::saturating_add);
        let seen = (
            sum(|worker| u64::from(worker.load.connections)),
            sum(|worker| worker.load.accepted),
            sum(|worker| worker.load.answered.requests),
        );
        self.balance.glance = None;
        if self.balance.flows(seen, self.now) {
            self.balance.glance = glance_after(self.now, self.beat_interval());
            let slot_loads = self.slot_loads();
            self.balance.weights = weights(&slot_loads, self.balance.foreseen).into_iter().collect();
        }
    }

    /// A slot with a canary beside its worker has one queue and two who take from it.
    fn slot_loads(&self) -> Vec<SlotLoad> {
        let beside = self.replacement.as_ref().filter(|worker| worker.is_serving());
        let slot_loads = |slot: Slot, own: Option<&PoolWorker>| {
            let both = || {
                own.into_iter()
                    .chain(beside.filter(|worker| worker.life.slot == slot))
            };
            let count = u64::try_from(both().count()).unwrap_or(1);
            (count > 0).then(|| SlotLoad {
                slot,
                connections: both().map(|worker| worker.load.smooth).sum::<u64>() / count,
                loop_lag: both()
                    .map(|worker| worker.load.loop_lag)
                    .min()
                    .unwrap_or_default(),
            })
        };
        self.seats
            .iter()
            .filter_map(|seat| slot_loads(seat.slot, seat.worker().filter(|worker| worker.is_serving())))
            .collect()
    }

    pub(in crate::pool) fn steer(&mut self, effects: &mut Vec<Effect>) {
        let routed: Vec<_> = self
            .routed()
            .into_iter()
            .map(|slot| (slot, self.balance.weight(slot)))
            .collect();
        if !is_much_like(&routed, &self.steered) {
            self.steered.clone_from(&routed);
            effects.push(Effect::Steer(routed));
        }
    }

    /// Slots with a worker that beats. When there is none, slots with a late one: it has the best chance to answer, and to
    /// route nowhere would leave it to the kernel's hash, which knows nothing.
    fn routed(&self) -> Vec<Slot> {
        let serving = self.slots_with(PoolWorker::is_serving);
        if serving.is_empty() {
            self.slots_with(|worker| matches!(worker.phase, WorkerPhase::Late { .. }))
        } else {
            serving
        }
    }

    /// A canary shares its slot's listener: the slot counts as long as one of the two does.
    fn slots_with(&self, fits: impl Fn(&PoolWorker) -> bool) -> Vec<Slot> {
        let beside = self
            .replacement
            .as_ref()
            .filter(|worker| fits(worker))
            .map(|worker| worker.life.slot);
        self.seats
            .iter()
            .filter(|seat| seat.worker().is_some_and(&fits) || beside == Some(seat.slot))
            .map(|seat| seat.slot)
            .collect()
    }
}

fn is_much_like(one: &[(Slot, u16)], other: &[(Slot, u16)]) -> bool {
    let alike = |((slot, weight), (other_slot, other_weight)): (&(Slot, u16), &(Slot, u16))| {
        slot == other_slot && weight.abs_diff(*other_weight) < WORTH_TELLING
    };
    one.len() == other.len() && one.iter().zip(other).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::at;

    #[test]
    fn glances_lie_between_a_look_and_the_next_point_of_the_grid() {
        let interval = Duration::from_millis(250);
        let mut now = Monotonic(1_062_500_000);
        let mut found = Vec::new();
        while let Some(next) = glance_after(now, interval) {
            found.push(next.0 / 1_000);
            now = next;
        }
        assert_eq!(found, [1_125_000, 1_187_500]);
        assert_eq!(glance_after(at(1_240), interval), None);
        assert_eq!(
            glance_after(at(1_010), interval),
            None,
            "the look itself comes first"
        );
        assert_eq!(glance_after(at(1_100), Duration::from_millis(50)), None);
    }

    #[test]
    fn arrivals_of_the_next_glances_are_foreseen_whatever_time_passed_between_two_looks() {
        for ms in [50, 100, 250] {
            let mut balance = Balance::default();
            assert!(!balance.flows((0, 0, 0), at(1_000)));
            // 32 connections per glance.
            let grown = 32 * ms / 100;
            assert!(balance.flows((grown, grown, 0), at(1_000 + ms)));
            assert_eq!(balance.foreseen, 4 * 16 * 32, "{ms} ms");
        }
        let mut balance = Balance::default();
        balance.flows((100, 0, 0), at(1_000));
        let before = balance.foreseen;
        assert!(balance.flows((0, 0, 1), at(1_100)), "answers are traffic too");
        assert_eq!(balance.foreseen, before / 4 * 3, "it is forgotten by and by");
    }

    #[test]
    fn little_moves_are_not_told_and_another_set_is() {
        let slots = |weights: &[u16]| (0..).map(Slot).zip(weights.iter().copied()).collect::<Vec<_>>();
        assert!(is_much_like(&slots(&[256, 256]), &slots(&[250, 262])));
        assert!(!is_much_like(&slots(&[256, 256]), &slots(&[240, 256])));
        assert!(!is_much_like(&slots(&[256, 256]), &slots(&[256])));
    }
}
