//! Who finishes the work of the dead. Each death orphans the work of one worker, which is remembered until a
//! ready worker has taken it over.
//!
//! The number of entries is bounded by what feeds and drains them: one entry per death, deaths are rationed
//! by the restart policy, and a worker answers within the time of one claim; as long as no worker is ready
//! only crashing boots can add to them, at the backoff's pace. An entry is 40 bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::ids::{Incarnation, Life};
use crate::base::time::Monotonic;
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::facts::OrphanedWork;

/// Orphaned work that no worker has taken over yet, and which worker was asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Takeovers {
    /// In pairs rather than a map: orphaned work is no JSON key.
    pending: Vec<(OrphanedWork, Option<Life>)>,
    /// When each living worker was asked last, counted in choices.
    chosen: BTreeMap<Life, u64>,
    choices: u64,
    /// The workers that could not be told since the last look.
    unreachable: BTreeSet<Life>,
    /// When the work of earlier incarnations is looked through once more: a worker that outlived its master
    /// unknown to this one has drained by then.
    again_at: Option<Monotonic>,
}

impl Takeovers {
    /// Work of earlier incarnations is to be taken over now, and once more at that instant.
    pub(in crate::pool) fn start(&mut self, incarnation: Incarnation, again_at: Monotonic) {
        self.add(OrphanedWork::Before(incarnation));
        self.again_at = Some(again_at);
    }

    pub(in crate::pool) fn pass_time(&mut self, incarnation: Incarnation, now: Monotonic) {
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.add(OrphanedWork::Before(incarnation));
        }
    }

    pub(in crate::pool) fn deadline(&self) -> Option<Monotonic> {
        self.again_at
    }

    pub(in crate::pool) fn add(&mut self, work: OrphanedWork) {
        if !self.pending.iter().any(|(known, _)| *known == work) {
            self.pending.push((work, None));
        }
    }

    /// A worker is dead: it takes nothing over any more.
    pub(in crate::pool) fn worker_ended(&mut self, life: Life) {
        self.chosen.remove(&life);
        for (_, by) in &mut self.pending {
            *by = by.filter(|by| *by != life);
        }
    }

    /// A worker says that it has taken everything over; only the one that was asked last is believed.
    pub(in crate::pool) fn done(&mut self, by: Life, work: OrphanedWork) {
        self.pending.retain(|entry| *entry != (work, Some(by)));
    }

    /// A worker could not be told: another one is. Where there is no other, the same one is told again at the
    /// next look.
    pub(in crate::pool) fn not_delivered(&mut self, by: Life, work: OrphanedWork) {
        let asked = (work, Some(by));
        if let Some(entry) = self.pending.iter_mut().find(|entry| **entry == asked) {
            entry.1 = None;
            self.unreachable.insert(by);
        }
    }

    /// Time has passed: workers that could not be told are asked again.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.unreachable.clear();
    }

    /// Finds a worker among those that serve for all work that has none, or whose worker does not serve any
    /// more (it may hang: claims are numbered, so two workers do no harm).
    pub(in crate::pool) fn assign(&mut self, serving: &[Life], effects: &mut Vec<Effect>) {
        let Takeovers {
            pending,
            chosen,
            choices,
            unreachable,
            ..
        } = self;
        for (work, assigned) in pending {
            if assigned.is_some_and(|by| serving.contains(&by)) {
                continue;
            }
            let reachable = serving.iter().filter(|life| !unreachable.contains(life));
            let Some(by) = reachable.min_by_key(|life| chosen.get(life).copied().unwrap_or(0)) else {
                return;
            };
            *choices += 1;
            chosen.insert(*by, *choices);
            *assigned = Some(*by);
            effects.push(Effect::TakeOver { by: *by, work: *work });
        }
    }

    pub(in crate::pool) fn pending(&self) -> &[(OrphanedWork, Option<Life>)] {
        &self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Incarnation;
    use crate::pool::fixture::life;

    fn assigned(takeovers: &mut Takeovers, serving: &[Life]) -> Vec<(Life, OrphanedWork)> {
        let mut effects = Vec::new();
        takeovers.assign(serving, &mut effects);
        let told = |effect| {
            if let Effect::TakeOver { by, work } = effect {
                Some((by, work))
            } else {
                None
            }
        };
        effects.into_iter().filter_map(told).collect()
    }

    #[test]
    fn orphaned_work_waits_for_the_first_ready_worker_which_is_told_once() {
        let mut takeovers = Takeovers::default();
        takeovers.add(OrphanedWork::Before(Incarnation(1)));
        assert_eq!(assigned(&mut takeovers, &[]), []);
        assert_eq!(
            assigned(&mut takeovers, &[life(0, 1)]),
            [(life(0, 1), OrphanedWork::Before(Incarnation(1)))]
        );
        assert_eq!(assigned(&mut takeovers, &[life(0, 1)]), []);
    }

    #[test]
    fn workers_take_turns() {
        let mut takeovers = Takeovers::default();
        let serving = [life(0, 1), life(1, 1)];
        let mut takers = Vec::new();
        for epoch in 1..=4 {
            takeovers.add(OrphanedWork::Life(life(2, epoch)));
            takers.extend(
                assigned(&mut takeovers, &serving)
                    .into_iter()
                    .map(|(by, _)| by.slot.0),
            );
        }
        assert_eq!(takers, [0, 1, 0, 1]);
    }

    #[test]
    fn what_a_dead_worker_did_not_finish_taking_over_goes_to_another() {
        let mut takeovers = Takeovers::default();
        let (first, second) = (life(0, 1), life(1, 1));
        takeovers.add(OrphanedWork::Life(life(2, 1)));
        takeovers.add(OrphanedWork::Life(life(3, 1)));
        assigned(&mut takeovers, &[first]);
        takeovers.done(first, OrphanedWork::Life(life(2, 1)));
        takeovers.worker_ended(first);
        takeovers.done(first, OrphanedWork::Life(life(3, 1)));
        takeovers.add(OrphanedWork::Life(first));
        let passed = assigned(&mut takeovers, &[second]);
        assert_eq!(
            passed,
            [
                (second, OrphanedWork::Life(life(3, 1))),
                (second, OrphanedWork::Life(first))
            ]
        );
    }

    #[test]
    fn one_that_cannot_be_told_is_passed_over_until_the_next_look() {
        let mut takeovers = Takeovers::default();
        let (first, second) = (life(0, 1), life(1, 1));
        let work = OrphanedWork::Life(life(2, 1));
        takeovers.add(work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(first, work)]);
        takeovers.not_delivered(second, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [], "it was not told");
        takeovers.not_delivered(first, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(second, work)]);
        takeovers.not_delivered(second, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), []);
        takeovers.ask_again();
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(first, work)]);
    }

    #[test]
    fn one_that_was_not_asked_settles_nothing() {
        let mut takeovers = Takeovers::default();
        takeovers.add(OrphanedWork::Life(life(2, 1)));
        assigned(&mut takeovers, &[life(0, 1)]);
        takeovers.done(life(1, 1), OrphanedWork::Life(life(2, 1)));
        assert_eq!(takeovers.pending().len(), 1);
        takeovers.done(life(0, 1), OrphanedWork::Life(life(2, 1)));
        assert_eq!(takeovers.pending(), []);
    }
}
