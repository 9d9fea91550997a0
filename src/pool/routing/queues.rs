//! Who accepts what waits at a slot that has no ready worker: a slot between two lives, one whose worker is late, drained or
//! removed by scaling. A handshake that began before the slot was unrouted may end in its queue at any time, so a queue stays
//! adopted until the slot has its own ready worker again. At most one entry per slot there ever was.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::ids::{Life, Slot};
use crate::pool::pool::Pool;
use crate::pool::protocol::effect::Effect;
use crate::pool::slot::slot_state::SlotState;
use crate::pool::worker::pool_worker::PoolWorker;

/// Which worker accepts for which slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Adoptions {
    by: BTreeMap<Slot, Life>,
    /// Who could not be handed which queue since the last look.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    deaf: BTreeSet<(Slot, Life)>,
}

/// The pool as adoption sees it.
#[derive(Debug, Default)]
pub(in crate::pool) struct Candidates {
    /// How many slots there ever were.
    pub(in crate::pool) slots: u16,
    /// Everybody who is ready and beats, with the number of open connections.
    pub(in crate::pool) serving: BTreeMap<Life, u32>,
    /// Everybody else who is not dead: a late or draining adopter is better than none.
    pub(in crate::pool) others: BTreeSet<Life>,
}

impl Adoptions {
    pub(in crate::pool) fn adopter(&self, slot: Slot) -> Option<Life> {
        self.by.get(&slot).copied()
    }

    /// It could not be handed that queue: somebody else is asked, or nobody before the next look.
    pub(in crate::pool) fn refused(&mut self, slot: Slot, by: Life) {
        if self.by.get(&slot) == Some(&by) {
            self.by.remove(&slot);
            self.deaf.insert((slot, by));
        }
    }

    /// Time has passed: whoever did not hear may do so now.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.deaf.clear();
    }

    /// Lets go of what has its own worker or no fit adopter any more, and finds an adopter for the rest: who adopted least, and
    /// of those who has the fewest connections.
    pub(in crate::pool) fn settle(&mut self, candidates: &Candidates, effects: &mut Vec<Effect>) {
        let own: BTreeSet<Slot> = candidates.serving.keys().map(|life| life.slot).collect();
        self.let_go(candidates, &own, effects);
        let mut fittest = self.fittest(candidates);
        for slot in (0..candidates.slots).map(Slot) {
            if own.contains(&slot) || self.by.contains_key(&slot) {
                continue;
            }
            let hears = |(_, _, by): &&(usize, u32, Life)| !self.deaf.contains(&(slot, *by));
            let Some(&(adopted, connections, by)) = fittest.iter().find(hears) else {
                continue;
            };
            fittest.remove(&(adopted, connections, by));
            fittest.insert((adopted + 1, connections, by));
            self.by.insert(slot, by);
            effects.push(Effect::Adopt { by, slot });
        }
    }

    fn let_go(&mut self, candidates: &Candidates, own: &BTreeSet<Slot>, effects: &mut Vec<Effect>) {
        self.by.retain(|&slot, &mut by| {
            let serves = candidates.serving.contains_key(&by);
            let lives = serves || candidates.others.contains(&by);
            let stays = !own.contains(&slot) && (serves || lives && candidates.serving.is_empty());
            if !stays && lives {
                effects.push(Effect::Disown { by, slot });
            }
            stays
        });
    }

    fn fittest(&self, candidates: &Candidates) -> BTreeSet<(usize, u32, Life)> {
        let mut adopted: BTreeMap<Life, usize> = BTreeMap::new();
        for by in self.by.values() {
            *adopted.entry(*by).or_default() += 1;
        }
        let of = |life: &Life| adopted.get(life).copied().unwrap_or(0);
        candidates
            .serving
            .iter()
            .map(|(life, connections)| (of(life), *connections, *life))
            .collect()
    }
}

impl Pool {
    pub(in crate::pool) fn adopt(&mut self, effects: &mut Vec<Effect>) {
        if self.adoptions.by.is_empty() && self.is_everybody_home() {
            return;
        }
        let mut candidates = Candidates {
            slots: self.slots_ever(),
            ..Candidates::default()
        };
        let seated = self.seats.iter().filter_map(SlotState::worker);
        for worker in seated.chain(&self.replacement).chain(&self.leaving) {
            if PoolWorker::is_serving(worker) {
                candidates.serving.insert(worker.life, worker.load.connections);
            } else {
                candidates.others.insert(worker.life);
            }
        }
        self.adoptions.settle(&candidates, effects);
    }

    /// Whether each slot there ever was has its own worker, as nearly always: then nobody's queue is without one, and a look at
    /// that needs no maps and sets, whose code an idle master would keep in memory for nothing else.
    fn is_everybody_home(&self) -> bool {
        let is_home = |seat: &SlotState| seat.worker().is_some_and(PoolWorker::is_serving);
        self.seats.len() == usize::from(self.slots_ever()) && self.seats.iter().all(is_home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::life;

    fn candidates(slots: u16, serving: &[(Life, u32)], others: &[Life]) -> Candidates {
        Candidates {
            slots,
            serving: serving.iter().copied().collect(),
            others: others.iter().copied().collect(),
        }
    }

    fn settled(adoptions: &mut Adoptions, candidates: &Candidates) -> Vec<Effect> {
        let mut effects = Vec::new();
        adoptions.settle(candidates, &mut effects);
        effects
    }

    #[test]
    fn queues_are_shared_out_evenly_and_the_least_busy_begins() {
        let mut adoptions = Adoptions::default();
        settled(
            &mut adoptions,
            &candidates(8, &[(life(0, 1), 90), (life(1, 1), 10)], &[]),
        );
        let by: Vec<_> = (2..8)
            .map(|slot| adoptions.adopter(Slot(slot)).expect("adopted").slot.0)
            .collect();
        assert_eq!(by, [1, 0, 1, 0, 1, 0]);
        assert_eq!(adoptions.adopter(Slot(0)), None);
    }

    #[test]
    fn a_queue_that_one_could_not_be_handed_goes_to_the_next_and_is_offered_again_later() {
        let mut adoptions = Adoptions::default();
        let (one, two) = (life(0, 1), life(1, 1));
        let both = candidates(3, &[(one, 0), (two, 5)], &[]);
        let adopts = |by| [Effect::Adopt { by, slot: Slot(2) }];
        assert_eq!(settled(&mut adoptions, &both), adopts(one));
        adoptions.refused(Slot(2), two);
        assert_eq!(settled(&mut adoptions, &both), [], "it was not asked");
        adoptions.refused(Slot(2), one);
        assert_eq!(settled(&mut adoptions, &both), adopts(two));
        adoptions.refused(Slot(2), two);
        assert_eq!(settled(&mut adoptions, &both), [], "nobody hears");
        adoptions.ask_again();
        assert_eq!(settled(&mut adoptions, &both), adopts(one));
        assert_eq!(adoptions.adopter(Slot(2)), Some(one));
    }

    #[test]
    fn it_is_told_once_and_let_go_when_the_slot_has_its_own_worker() {
        let mut adoptions = Adoptions::default();
        let by = life(0, 1);
        let one = candidates(2, &[(by, 0)], &[]);
        assert_eq!(
            settled(&mut adoptions, &one),
            [Effect::Adopt { by, slot: Slot(1) }]
        );
        assert_eq!(settled(&mut adoptions, &one), []);
        let both = candidates(2, &[(by, 0), (life(1, 2), 0)], &[]);
        assert_eq!(
            settled(&mut adoptions, &both),
            [Effect::Disown { by, slot: Slot(1) }]
        );
    }

    #[test]
    fn a_late_adopter_is_relieved_a_dead_one_replaced_and_the_last_one_keeps_what_it_has() {
        let mut adoptions = Adoptions::default();
        let (one, other) = (life(0, 1), life(2, 1));
        settled(&mut adoptions, &candidates(2, &[(one, 0)], &[]));
        let last = candidates(2, &[], &[one]);
        assert_eq!(settled(&mut adoptions, &last), [], "nobody is fitter");
        let relieved = settled(&mut adoptions, &candidates(3, &[(other, 0)], &[one]));
        assert!(relieved.contains(&Effect::Disown {
            by: one,
            slot: Slot(1)
        }));
        assert_eq!(adoptions.adopter(Slot(1)), Some(other));
        assert_eq!(
            adoptions.adopter(Slot(0)),
            Some(other),
            "the late one's own queue too"
        );
        let replaced = settled(&mut adoptions, &candidates(3, &[(one, 0)], &[]));
        assert!(
            !replaced
                .iter()
                .any(|effect| matches!(effect, Effect::Disown { .. })),
            "nobody is told"
        );
        assert_eq!(adoptions.adopter(Slot(2)), Some(one));
    }
}
