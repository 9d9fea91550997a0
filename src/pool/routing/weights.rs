//! When to weigh the slots, and from what: samples of each worker's load, about ten times a second while
//! traffic flows and never otherwise. How loads become weights is the matter of [`super::steering`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::steering::{FULL_SHARE, SlotLoad, weights};
use crate::base::ids::Slot;
use crate::base::time::{Grid, Monotonic};
use crate::pool::fleet::AllWorkers;
use crate::pool::protocol::facts::Policy;
use crate::pool::slot::slot_state::SlotState;
use crate::pool::worker::heartbeat::look_behind;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerPhase};

/// While traffic flows the loads are sampled about this often.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// Look-ahead, in samples. A shorter one would apply the same correction twice, before the first shows in the
/// counters.
const LOOK_AHEAD: u64 = 4;
/// A program gets its stop signal within this time after it was asked to end, when its queue is empty.
const SETTLING: Duration = Duration::from_millis(250);
/// Weights that moved by less are left alone: a sixteenth of a full share.
const LEAST_MOVE: u16 = FULL_SHARE / 16;

/// Sums over all workers, by which traffic is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LoadTotals {
    /// Open connections.
    connections: u64,
    /// Connections accepted so far.
    accepted: u64,
    /// Requests answered so far.
    requests: u64,
}

impl LoadTotals {
    fn of(workers: AllWorkers<'_>) -> LoadTotals {
        let sum = |of: fn(&PoolWorker) -> u64| workers.iter().map(of).fold(0, u64::saturating_add);
        LoadTotals {
            connections: sum(|worker| u64::from(worker.load.connections)),
            accepted: sum(|worker| worker.load.accepted),
            requests: sum(|worker| worker.load.answered.requests),
        }
    }
}

/// What is remembered between two samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Balance {
    /// When the slots were weighed last.
    weighed: Monotonic,
    totals: LoadTotals,
    /// By how many sixteenths of a connection the cluster is expected to grow.
    foreseen: u64,
    /// The weights that fit the last loads.
    weights: BTreeMap<Slot, u16>,
    /// While traffic flows: when to sample the loads again, if nothing else is due before.
    next_sample: Option<Monotonic>,
}

impl Balance {
    pub(in crate::pool) fn next_sample(&self) -> Option<Monotonic> {
        self.next_sample
    }

    /// Every worker has been looked at: weighs the slots anew if traffic flows. `interval`: the distance of
    /// two points of the beats' grid.
    pub(in crate::pool) fn weigh(&mut self, workers: AllWorkers<'_>, now: Monotonic, interval: Duration) {
        if now.since(self.weighed) < SAMPLE_INTERVAL / 4 {
            return;
        }
        self.next_sample = None;
        if self.flows(LoadTotals::of(workers), now) {
            self.next_sample = sample_after(now, interval);
            self.weights = weights(&slot_loads(workers), self.foreseen).into_iter().collect();
        }
    }

    /// Takes in the sums of a look. Whether traffic flows.
    fn flows(&mut self, totals: LoadTotals, now: Monotonic) -> bool {
        let before = std::mem::replace(&mut self.totals, totals);
        let passed = now.since(self.weighed).max(Duration::from_millis(1));
        self.weighed = now;
        let grown = totals.connections.saturating_sub(before.connections);
        let grown = u128::from(grown.saturating_mul(16));
        let per_sample = grown * SAMPLE_INTERVAL.as_nanos() / passed.as_nanos();
        let foreseen = u64::try_from(per_sample)
            .unwrap_or(u64::MAX)
            .saturating_mul(LOOK_AHEAD);
        self.foreseen = foreseen.max(self.foreseen / 4 * 3);
        totals != before
    }

    /// The weight of each slot that gets new connections.
    pub(in crate::pool) fn weights(
        &self,
        workers: AllWorkers<'_>,
        now: Monotonic,
        policy: &Policy,
    ) -> Vec<(Slot, u16)> {
        let weight = |slot| self.weights.get(&slot).copied().unwrap_or(FULL_SHARE);
        let mut slots = routed(workers);
        if policy.runs_programs {
            spare_those_that_settle(&mut slots, workers, now);
        }
        let slots = slots.into_iter();
        slots.map(|slot| (slot, weight(slot))).collect()
    }
}

/// Slots with a worker that beats. When there is none, slots with a late worker: it has the best chance to
/// answer, and to route nowhere would leave the choice to the kernel's hash, which knows nothing.
fn routed(workers: AllWorkers<'_>) -> Vec<Slot> {
    let serving = workers.slots_with(PoolWorker::is_serving);
    if serving.is_empty() {
        workers.slots_with(|worker| matches!(worker.phase, WorkerPhase::Late { .. }))
    } else {
        serving
    }
}

/// When a slot gets connections again after its program was asked to end.
pub(in crate::pool) fn settled_at(leaving: &PoolWorker) -> Option<Monotonic> {
    Some(leaving.draining_since()? + SETTLING)
}

/// Leaves out slots whose former program was asked to end a moment ago: it shares the listener with its
/// successor, and what it accepts last is lost with many. Not when no other slot is left.
fn spare_those_that_settle(slots: &mut Vec<Slot>, workers: AllWorkers<'_>, now: Monotonic) {
    let settles = |worker: &&PoolWorker| settled_at(worker).is_some_and(|at| now < at);
    let leaving = workers.fleet.leaving().iter().filter(settles);
    let settling: BTreeSet<Slot> = leaving.map(|worker| worker.life.slot).collect();
    if slots.iter().any(|slot| !settling.contains(slot)) {
        slots.retain(|slot| !settling.contains(slot));
    }
}

/// What each serving slot carries. A slot with a canary beside its worker has one queue and two workers that
/// take from it.
fn slot_loads(workers: AllWorkers<'_>) -> Vec<SlotLoad> {
    let replacement = workers.replacement.filter(|worker| worker.is_serving());
    let load = |state: &SlotState| {
        let own = state.worker().filter(|worker| worker.is_serving());
        let replacement = replacement.filter(|worker| worker.life.slot == state.slot);
        slot_load(state.slot, own, replacement)
    };
    workers.fleet.slots().iter().filter_map(load).collect()
}

fn slot_load(slot: Slot, own: Option<&PoolWorker>, replacement: Option<&PoolWorker>) -> Option<SlotLoad> {
    let both = || own.into_iter().chain(replacement);
    let count = u64::try_from(both().count()).unwrap_or(1);
    let loop_lag = both().map(|worker| worker.load.loop_lag).min()?;
    Some(SlotLoad {
        slot,
        connections: both().map(|worker| worker.load.smooth).sum::<u64>() / count,
        loop_lag,
    })
}

/// The next instant for a sample between two looks of the beats' grid. All samples lie between a look and the
/// next point of the grid, where no beat is due: a look right behind a point would take workers for late that
/// are about to stamp their beat.
fn sample_after(now: Monotonic, interval: Duration) -> Option<Monotonic> {
    let behind = look_behind(interval);
    let parts = u32::try_from(interval.as_nanos().div_ceil(SAMPLE_INTERVAL.as_nanos())).unwrap_or(u32::MAX);
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

/// Whether two lists have the same slots with nearly the same weights.
pub(in crate::pool) fn is_much_like(one: &[(Slot, u16)], other: &[(Slot, u16)]) -> bool {
    let alike = |((slot, weight), (other_slot, other_weight)): (&(Slot, u16), &(Slot, u16))| {
        slot == other_slot && weight.abs_diff(*other_weight) < LEAST_MOVE
    };
    one.len() == other.len() && one.iter().zip(other).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::at;

    fn totals(connections: u64, accepted: u64, requests: u64) -> LoadTotals {
        LoadTotals {
            connections,
            accepted,
            requests,
        }
    }

    #[test]
    fn samples_lie_between_a_look_and_the_next_point_of_the_grid() {
        let interval = Duration::from_millis(250);
        let mut now = Monotonic(1_062_500_000);
        let mut found = Vec::new();
        while let Some(next) = sample_after(now, interval) {
            found.push(next.0 / 1_000);
            now = next;
        }
        assert_eq!(found, [1_125_000, 1_187_500]);
        assert_eq!(sample_after(at(1_240), interval), None);
        assert_eq!(
            sample_after(at(1_010), interval),
            None,
            "the look itself comes first"
        );
        assert_eq!(sample_after(at(1_100), Duration::from_millis(50)), None);
    }

    #[test]
    fn arrivals_of_the_next_samples_are_foreseen_whatever_time_passed_between_two_looks() {
        for ms in [50, 100, 250] {
            let mut balance = Balance::default();
            assert!(!balance.flows(totals(0, 0, 0), at(1_000)));
            // 32 connections per sample.
            let grown = 32 * ms / 100;
            assert!(balance.flows(totals(grown, grown, 0), at(1_000 + ms)));
            assert_eq!(balance.foreseen, 4 * 16 * 32, "{ms} ms");
        }
        let mut balance = Balance::default();
        balance.flows(totals(100, 0, 0), at(1_000));
        let before = balance.foreseen;
        assert!(
            balance.flows(totals(0, 0, 1), at(1_100)),
            "answers are traffic too"
        );
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
