//! What holds in the simulation after every event, and what rest is.

use std::collections::{BTreeMap, BTreeSet};

use cluster::base::ids::{Life, Slot};
use cluster::pool::OrphanedWork;
use cluster::pool::status::WorkerState;

use super::{Process, Simulation};

impl Simulation {
    /// What holds after every event.
    pub(super) fn check(&mut self) {
        let known: BTreeSet<Life> = self.pool.lives().collect();
        assert_eq!(known.len(), self.pool.lives().count(), "two with one identity");
        assert!(
            self.processes.keys().all(|life| known.contains(life)),
            "a worker was forgotten"
        );
        for slot in &self.steered {
            let ready = |(life, process): (&Life, &Process)| life.slot == *slot && process.ready;
            assert!(
                self.processes.iter().any(ready),
                "slot {slot} is routed and has no ready worker"
            );
        }
        assert!(
            !self.stub || self.pool.refuses() && self.serving_slots() == 0,
            "a stub runs beside a worker that serves"
        );
        assert!(
            !self.pool.is_upgrading() || self.pool.replacement().is_none() && !self.pool.is_reloading(),
            "an upgrade is mixed with something"
        );
        let draining = self
            .pool
            .leaving()
            .filter(|worker| worker.state == WorkerState::Draining)
            .count();
        assert!(
            self.pool.is_stopping()
                || draining <= usize::from(self.max_draining) + usize::from(self.pool.slots_ever()),
            "{draining} drain"
        );
        let due = self.pool.next_deadline(self.now);
        assert!(
            due.is_none_or(|due| due > self.now),
            "what is due has been dealt with"
        );
        let owed: BTreeSet<OrphanedWork> = self.pool.takeovers().iter().map(|(work, _)| *work).collect();
        // What earlier incarnations left is looked through a second time.
        self.owed
            .extend(owed.iter().filter(|work| matches!(work, OrphanedWork::Before(_))));
        assert_eq!(owed, self.owed, "what is owed is remembered");
        self.least_serving = self.least_serving.min(self.serving_slots());
        self.check_queues();
    }

    /// Every queue has a worker that accepts from it, as long as any worker serves.
    fn check_queues(&self) {
        let serving: BTreeSet<Life> = self
            .pool
            .slots()
            .filter_map(|slot| slot.worker)
            .chain(self.pool.replacement())
            .filter(|worker| worker.state == WorkerState::Serving)
            .map(|worker| worker.life)
            .collect();
        let manned: BTreeSet<Slot> = serving.iter().map(|life| life.slot).collect();
        for slot in (0..self.listeners).map(Slot) {
            let own = manned.contains(&slot);
            let adopter = self
                .adopters
                .get(&slot)
                .filter(|by| self.processes.contains_key(by));
            assert!(
                !(own && adopter.is_some()),
                "slot {slot} has its own worker and an adopter"
            );
            assert!(
                own || serving.is_empty()
                    || adopter.is_some_and(|by| serving.contains(by))
                    || self.not_handed.contains(&slot),
                "slot {slot}'s queue has no worker; {adopter:?}"
            );
        }
        let said: BTreeMap<Slot, Life> = self.pool.adoptions().collect();
        let heard = self
            .adopters
            .iter()
            .filter(|(_, by)| self.processes.contains_key(by));
        assert_eq!(said, heard.map(|(slot, by)| (*slot, *by)).collect());
    }

    /// All is as it should be: every slot serves the current generation and nothing is left over.
    pub(crate) fn is_at_rest(&self) -> bool {
        let serves = |slot: cluster::pool::status::SlotStatus<'_>| {
            slot.state == WorkerState::Drained
                || slot.state == WorkerState::Serving
                    && !slot.breaker_open
                    && slot
                        .worker
                        .is_some_and(|worker| worker.generation == self.pool.generation())
        };
        self.pool.slots().all(serves)
            && self.steered.len() == self.serving_slots()
            && self.pool.replacement().is_none()
            && self.pool.leaving().next().is_none()
            && !self.pool.is_reloading()
            && self.owed.is_empty()
            && self.loaded
                == self
                    .pool
                    .previous()
                    .into_iter()
                    .chain([self.pool.generation()])
                    .collect()
            && self.verdicts.len() as u64 == self.asked
    }
}
