//! Who finishes the work of the dead. Each death leaves one estate, which is remembered until a ready worker has taken it over.
//!
//! The number remembered is bounded by what feeds and drains it: one entry per death, deaths are rationed by the restart policy,
//! and a worker answers within the time of one claim; as long as nobody is ready nobody but crashing boots can add to it, at the
//! backoff's pace. An entry is 40 bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::ids::Life;
use crate::pool::protocol::effect::{Effect, Estate};

/// Estates that nobody has taken over yet, and who was asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Estates {
    /// In pairs rather than a map: an estate is no JSON key.
    pending: Vec<(Estate, Option<Life>)>,
    /// When each living heir was chosen last, counted in choices.
    chosen: BTreeMap<Life, u64>,
    choices: u64,
    /// Who could not be told of an estate since the last look.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    deaf: BTreeSet<Life>,
}

impl Estates {
    /// Something was left behind.
    pub(in crate::pool) fn leave(&mut self, estate: Estate) {
        if !self.pending.iter().any(|(known, _)| *known == estate) {
            self.pending.push((estate, None));
        }
    }

    /// A life ended: it inherits nothing any more.
    pub(in crate::pool) fn forget(&mut self, life: Life) {
        self.chosen.remove(&life);
        for (_, heir) in &mut self.pending {
            *heir = heir.filter(|heir| *heir != life);
        }
    }

    /// An heir says that it is done; only the one that was asked last is believed.
    pub(in crate::pool) fn settle(&mut self, heir: Life, estate: Estate) {
        self.pending.retain(|entry| *entry != (estate, Some(heir)));
    }

    /// It could not be told: somebody else is. Where there is nobody else it is told again at the next look.
    pub(in crate::pool) fn refused(&mut self, heir: Life, estate: Estate) {
        if let Some(entry) = self
            .pending
            .iter_mut()
            .find(|entry| **entry == (estate, Some(heir)))
        {
            entry.1 = None;
            self.deaf.insert(heir);
        }
    }

    /// Time has passed: whoever did not hear may do so now.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.deaf.clear();
    }

    /// Finds an heir among those who serve for each estate that has none, or whose heir does not serve any more (it may hang:
    /// claims are numbered, so two heirs do no harm).
    pub(in crate::pool) fn bequeath(&mut self, serving: &[Life], effects: &mut Vec<Effect>) {
        let Estates {
            pending,
            chosen,
            choices,
            deaf,
        } = self;
        for (estate, heir) in pending {
            if heir.is_some_and(|heir| serving.contains(&heir)) {
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
            *heir = Some(*next);
            effects.push(Effect::Bequeath {
                heir: *next,
                estate: *estate,
            });
        }
    }

    pub(in crate::pool) fn pending(&self) -> &[(Estate, Option<Life>)] {
        &self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Incarnation;
    use crate::pool::fixture::life;

    fn bequeathed(estates: &mut Estates, serving: &[Life]) -> Vec<(Life, Estate)> {
        let mut effects = Vec::new();
        estates.bequeath(serving, &mut effects);
        let told = |effect| {
            if let Effect::Bequeath { heir, estate } = effect {
                Some((heir, estate))
            } else {
                None
            }
        };
        effects.into_iter().filter_map(told).collect()
    }

    #[test]
    fn an_estate_waits_for_the_first_ready_worker_and_is_told_once() {
        let mut estates = Estates::default();
        estates.leave(Estate::Before(Incarnation(1)));
        assert_eq!(bequeathed(&mut estates, &[]), []);
        assert_eq!(
            bequeathed(&mut estates, &[life(0, 1)]),
            [(life(0, 1), Estate::Before(Incarnation(1)))]
        );
        assert_eq!(bequeathed(&mut estates, &[life(0, 1)]), []);
    }

    #[test]
    fn heirs_take_turns() {
        let mut estates = Estates::default();
        let serving = [life(0, 1), life(1, 1)];
        let mut heirs = Vec::new();
        for epoch in 1..=4 {
            estates.leave(Estate::Life(life(2, epoch)));
            heirs.extend(
                bequeathed(&mut estates, &serving)
                    .into_iter()
                    .map(|(heir, _)| heir.slot.0),
            );
        }
        assert_eq!(heirs, [0, 1, 0, 1]);
    }

    #[test]
    fn an_heir_that_dies_passes_on_what_it_did_not_finish() {
        let mut estates = Estates::default();
        let (first, second) = (life(0, 1), life(1, 1));
        estates.leave(Estate::Life(life(2, 1)));
        estates.leave(Estate::Life(life(3, 1)));
        bequeathed(&mut estates, &[first]);
        estates.settle(first, Estate::Life(life(2, 1)));
        estates.forget(first);
        estates.settle(first, Estate::Life(life(3, 1)));
        estates.leave(Estate::Life(first));
        let passed = bequeathed(&mut estates, &[second]);
        assert_eq!(
            passed,
            [(second, Estate::Life(life(3, 1))), (second, Estate::Life(first))]
        );
    }

    #[test]
    fn one_that_cannot_be_told_is_passed_over_until_the_next_look() {
        let mut estates = Estates::default();
        let (first, second) = (life(0, 1), life(1, 1));
        let estate = Estate::Life(life(2, 1));
        estates.leave(estate);
        assert_eq!(bequeathed(&mut estates, &[first, second]), [(first, estate)]);
        estates.refused(second, estate);
        assert_eq!(bequeathed(&mut estates, &[first, second]), [], "it was not told");
        estates.refused(first, estate);
        assert_eq!(bequeathed(&mut estates, &[first, second]), [(second, estate)]);
        estates.refused(second, estate);
        assert_eq!(bequeathed(&mut estates, &[first, second]), []);
        estates.ask_again();
        assert_eq!(bequeathed(&mut estates, &[first, second]), [(first, estate)]);
    }

    #[test]
    fn one_that_was_not_asked_settles_nothing() {
        let mut estates = Estates::default();
        estates.leave(Estate::Life(life(2, 1)));
        bequeathed(&mut estates, &[life(0, 1)]);
        estates.settle(life(1, 1), Estate::Life(life(2, 1)));
        assert_eq!(estates.pending().len(), 1);
        estates.settle(life(0, 1), Estate::Life(life(2, 1)));
        assert_eq!(estates.pending(), []);
    }
}
