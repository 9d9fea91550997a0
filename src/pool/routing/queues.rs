//! Which worker accepts what waits at a slot that has no ready worker: a slot between two lives, one whose
//! worker is late, drained or removed by scaling. A handshake that began before the slot was unrouted may end
//! in its queue at any time, so a queue stays adopted until the slot has its own ready worker again. At most
//! one entry per slot there ever was.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::ids::{Life, Slot};
use crate::pool::fleet::AllWorkers;
use crate::pool::protocol::effect::Effect;
use crate::pool::slot::slot_state::SlotState;
use crate::pool::slot::slots::Slots;

/// Which worker accepts for which slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Adoptions {
    by: BTreeMap<Slot, Life>,
    /// The workers that could not be handed a queue since the last look, each with the slot of the queue.
    unreachable: BTreeSet<(Slot, Life)>,
}

/// The workers that can adopt a queue.
#[derive(Debug, Default)]
pub(in crate::pool) struct Candidates {
    /// How many slots there ever were.
    slots: u16,
    /// The workers that are ready and beat, with their number of open connections.
    serving: BTreeMap<Life, u32>,
    /// All other workers that are not dead: a late or draining adopter is better than none.
    others: BTreeSet<Life>,
    /// The slots whose queue waits for their own worker.
    waiting: BTreeSet<Slot>,
}

impl Candidates {
    pub(in crate::pool) fn of(workers: AllWorkers<'_>, queues_wait: bool) -> Candidates {
        let mut candidates = Candidates {
            slots: workers.fleet.slots().ever(),
            ..Candidates::default()
        };
        for worker in workers.iter() {
            if worker.is_serving() {
                candidates.serving.insert(worker.life, worker.load.connections);
            } else {
                candidates.others.insert(worker.life);
                if queues_wait && !worker.is_leaving() {
                    candidates.waiting.insert(worker.life.slot);
                }
            }
        }
        candidates
    }
}

impl Adoptions {
    pub(in crate::pool) fn adopter(&self, slot: Slot) -> Option<Life> {
        self.by.get(&slot).copied()
    }

    /// Whether no queue is adopted and none has to be, because each slot there ever was has its own worker,
    /// as nearly always. To find that out needs no maps and sets, whose code an idle master would keep in
    /// memory for nothing else.
    pub(in crate::pool) fn is_idle(&self, slots: &Slots) -> bool {
        self.by.is_empty() && slots.size() == slots.ever() && slots.iter().all(SlotState::is_serving)
    }

    /// A worker could not be handed that queue: another one is asked, or none before the next look.
    pub(in crate::pool) fn not_delivered(&mut self, slot: Slot, by: Life) {
        if self.by.get(&slot) == Some(&by) {
            self.by.remove(&slot);
            self.unreachable.insert((slot, by));
        }
    }

    /// Time has passed: workers that could not be reached are asked again.
    pub(in crate::pool) fn ask_again(&mut self) {
        self.unreachable.clear();
    }

    /// Lets go of queues whose slot has its own worker, or whose adopter is not fit any more, and finds an
    /// adopter for the rest: the worker that adopted least, and of those the one with the fewest connections.
    pub(in crate::pool) fn reconcile(&mut self, candidates: &Candidates, effects: &mut Vec<Effect>) {
        let serving = candidates.serving.keys().map(|life| life.slot);
        let own: BTreeSet<Slot> = serving.chain(candidates.waiting.iter().copied()).collect();
        self.let_go(candidates, &own, effects);
        let mut fittest = self.fittest(candidates);
        for slot in (0..candidates.slots).map(Slot) {
            if own.contains(&slot) || self.by.contains_key(&slot) {
                continue;
            }
            let is_reachable = |(_, _, by): &&(usize, u32, Life)| !self.unreachable.contains(&(slot, *by));
            let Some(&(adopted, connections, by)) = fittest.iter().find(is_reachable) else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::life;

    fn candidates(slots: u16, serving: &[(Life, u32)], others: &[Life]) -> Candidates {
        Candidates {
            slots,
            serving: serving.iter().copied().collect(),
            others: others.iter().copied().collect(),
            waiting: BTreeSet::new(),
        }
    }

    fn reconciled(adoptions: &mut Adoptions, candidates: &Candidates) -> Vec<Effect> {
        let mut effects = Vec::new();
        adoptions.reconcile(candidates, &mut effects);
        effects
    }

    #[test]
    fn queues_are_shared_out_evenly_and_the_least_busy_begins() {
        let mut adoptions = Adoptions::default();
        reconciled(
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
        assert_eq!(reconciled(&mut adoptions, &both), adopts(one));
        adoptions.not_delivered(Slot(2), two);
        assert_eq!(reconciled(&mut adoptions, &both), [], "it was not asked");
        adoptions.not_delivered(Slot(2), one);
        assert_eq!(reconciled(&mut adoptions, &both), adopts(two));
        adoptions.not_delivered(Slot(2), two);
        assert_eq!(reconciled(&mut adoptions, &both), [], "no worker can be reached");
        adoptions.ask_again();
        assert_eq!(reconciled(&mut adoptions, &both), adopts(one));
        assert_eq!(adoptions.adopter(Slot(2)), Some(one));
    }

    #[test]
    fn it_is_told_once_and_let_go_when_the_slot_has_its_own_worker() {
        let mut adoptions = Adoptions::default();
        let by = life(0, 1);
        let one = candidates(2, &[(by, 0)], &[]);
        assert_eq!(
            reconciled(&mut adoptions, &one),
            [Effect::Adopt { by, slot: Slot(1) }]
        );
        assert_eq!(reconciled(&mut adoptions, &one), []);
        let both = candidates(2, &[(by, 0), (life(1, 2), 0)], &[]);
        assert_eq!(
            reconciled(&mut adoptions, &both),
            [Effect::Disown { by, slot: Slot(1) }]
        );
    }

    #[test]
    fn a_late_adopter_lets_go_a_dead_one_is_replaced_and_the_last_one_keeps_what_it_has() {
        let mut adoptions = Adoptions::default();
        let (one, other) = (life(0, 1), life(2, 1));
        reconciled(&mut adoptions, &candidates(2, &[(one, 0)], &[]));
        let last = candidates(2, &[], &[one]);
        assert_eq!(reconciled(&mut adoptions, &last), [], "no worker is fitter");
        let let_go = reconciled(&mut adoptions, &candidates(3, &[(other, 0)], &[one]));
        assert!(let_go.contains(&Effect::Disown {
            by: one,
            slot: Slot(1)
        }));
        assert_eq!(adoptions.adopter(Slot(1)), Some(other));
        assert_eq!(
            adoptions.adopter(Slot(0)),
            Some(other),
            "the late one's own queue too"
        );
        let replaced = reconciled(&mut adoptions, &candidates(3, &[(one, 0)], &[]));
        assert!(
            !replaced
                .iter()
                .any(|effect| matches!(effect, Effect::Disown { .. })),
            "no worker is told"
        );
        assert_eq!(adoptions.adopter(Slot(2)), Some(one));
    }

    #[test]
    fn a_queue_that_waits_for_its_own_worker_is_adopted_by_nobody_and_let_go() {
        let mut adoptions = Adoptions::default();
        let (own, other) = (life(0, 1), life(1, 1));
        let late = candidates(2, &[(other, 0)], &[own]);
        let waits = Candidates {
            waiting: [Slot(0)].into(),
            ..candidates(2, &[(other, 0)], &[own])
        };
        assert_eq!(reconciled(&mut adoptions, &waits), []);
        assert_eq!(
            reconciled(&mut adoptions, &late),
            [Effect::Adopt {
                by: other,
                slot: Slot(0)
            }]
        );
        assert_eq!(
            reconciled(&mut adoptions, &waits),
            [Effect::Disown {
                by: other,
                slot: Slot(0)
            }]
        );
    }
}
