//! Who finishes the work of the dead. Each death leaves one work, which is remembered until a ready worker has taken it over.
//!
//! The number remembered is bounded by what feeds and drains it: one entry per death, deaths are rationed by the restart policy,
//! and a worker answers within the time of one claim; as long as nobody is ready nobody but crashing boots can add to it, at the
//! backoff's pace. An entry is 40 bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::ids::Life;
use crate::pool::protocol::effect::{Effect, OrphanedWork};

/// Takeovers that nobody has taken over yet, and who was asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Takeovers {
    /// In pairs rather than a map: an work is no JSON key.
    pending: Vec<(OrphanedWork, Option<Life>)>,
    /// When each living by was chosen last, counted in choices.
    chosen: BTreeMap<Life, u64>,
    choices: u64,
    /// Who could not be told of an work since the last look.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    deaf: BTreeSet<Life>,
}

impl Takeovers {
    /// Something was left behind.
    pub(in crate::pool) fn leave(&mut self, work: OrphanedWork) {
        if !self.pending.iter().any(|(known, _)| *known == work) {
            self.pending.push((work, None));
        }
    }

    /// A life ended: it inherits nothing any more.
    pub(in crate::pool) fn forget(&mut self, life: Life) {
        self.chosen.remove(&life);
        for (_, by) in &mut self.pending {
            *by = by.filter(|by| *by != life);
        }
    }

    /// An by says that it is done; only the one that was asked last is believed.
    pub(in crate::pool) fn settle(&mut self, by: Life, work: OrphanedWork) {
        self.pending.retain(|entry| *entry != (work, Some(by)));
    }

    /// It could not be told: somebody else is. Where there is nobody else it is told again at the next look.
    pub(in crate::pool) fn refused(&mut self, by: Life, work: OrphanedWork) {
        if let Some(entry) = self.pending.iter_mut().find(|entry| **entry == (work, Some(by))) {
            entry.1 = None;
            self.deaf.insert(by);
        }
    }

    /// Time has passed: whoever did not hear may do so now.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.deaf.clear();
    }

    /// Finds an by among those who serve for each work that has none, or whose by does not serve any more (it may hang:
    /// claims are numbered, so two takers do no harm).
    pub(in crate::pool) fn assign_takeovers(&mut self, serving: &[Life], effects: &mut Vec<Effect>) {
        let Takeovers {
            pending,
            chosen,
            choices,
            deaf,
        } = self;
        for (work, by) in pending {
            if by.is_some_and(|by| serving.contains(&by)) {
                continue;
            }
            let Some(next) = serving
                .iter()
                .filter(|life| !deaf.contains(life))
                .min_by_key(|life| chosen.get(life).copied().unwrap_or(0))
            else {
                return;
            };
            *choices += 1;
            chosen.insert(*next, *choices);
            *by = Some(*next);
            effects.push(Effect::TakeOver {
                by: *next,
                work: *work,
            });
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
        takeovers.assign_takeovers(serving, &mut effects);
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
    fn an_estate_waits_for_the_first_ready_worker_and_is_told_once() {
        let mut takeovers = Takeovers::default();
        takeovers.leave(OrphanedWork::Before(Incarnation(1)));
        assert_eq!(assigned(&mut takeovers, &[]), []);
        assert_eq!(
            assigned(&mut takeovers, &[life(0, 1)]),
            [(life(0, 1), OrphanedWork::Before(Incarnation(1)))]
        );
        assert_eq!(assigned(&mut takeovers, &[life(0, 1)]), []);
    }

    #[test]
    fn heirs_take_turns() {
        let mut takeovers = Takeovers::default();
        let serving = [life(0, 1), life(1, 1)];
        let mut takers = Vec::new();
        for epoch in 1..=4 {
            takeovers.leave(OrphanedWork::Life(life(2, epoch)));
            takers.extend(
                assigned(&mut takeovers, &serving)
                    .into_iter()
                    .map(|(by, _)| by.slot.0),
            );
        }
        assert_eq!(takers, [0, 1, 0, 1]);
    }

    #[test]
    fn an_heir_that_dies_passes_on_what_it_did_not_finish() {
        let mut takeovers = Takeovers::default();
        let (first, second) = (life(0, 1), life(1, 1));
        takeovers.leave(OrphanedWork::Life(life(2, 1)));
        takeovers.leave(OrphanedWork::Life(life(3, 1)));
        assigned(&mut takeovers, &[first]);
        takeovers.settle(first, OrphanedWork::Life(life(2, 1)));
        takeovers.forget(first);
        takeovers.settle(first, OrphanedWork::Life(life(3, 1)));
        takeovers.leave(OrphanedWork::Life(first));
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
        takeovers.leave(work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(first, work)]);
        takeovers.refused(second, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [], "it was not told");
        takeovers.refused(first, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(second, work)]);
        takeovers.refused(second, work);
        assert_eq!(assigned(&mut takeovers, &[first, second]), []);
        takeovers.ask_again();
        assert_eq!(assigned(&mut takeovers, &[first, second]), [(first, work)]);
    }

    #[test]
    fn one_that_was_not_asked_settles_nothing() {
        let mut takeovers = Takeovers::default();
        takeovers.leave(OrphanedWork::Life(life(2, 1)));
        assigned(&mut takeovers, &[life(0, 1)]);
        takeovers.settle(life(1, 1), OrphanedWork::Life(life(2, 1)));
        assert_eq!(takeovers.pending().len(), 1);
        takeovers.settle(life(0, 1), OrphanedWork::Life(life(2, 1)));
        assert_eq!(takeovers.pending(), []);
    }
}
