//! The generations that are loaded, each with its policy, and which of them the cluster runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::ids::Generation;
use crate::pool::protocol::facts::Policy;
use crate::pool::slot::bounds::clamp;

/// The generations of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Generations {
    /// The policy of every loaded generation; a worker is judged by the policy of its own generation.
    policies: BTreeMap<Generation, Policy>,
    /// The generation the cluster is committed to.
    current: Generation,
    /// The generation before the current one, for a rollback.
    previous: Option<Generation>,
    /// The newest generation that was tried.
    newest: Generation,
}

impl Generations {
    pub(in crate::pool) fn new(first: Generation, policy: Policy) -> Generations {
        Generations {
            policies: BTreeMap::from([(first, policy)]),
            current: first,
            previous: None,
            newest: first,
        }
    }

    pub(in crate::pool) fn current(&self) -> Generation {
        self.current
    }

    pub(in crate::pool) fn previous(&self) -> Option<Generation> {
        self.previous
    }

    pub(in crate::pool) fn newest(&self) -> Generation {
        self.newest
    }

    /// The policy the cluster as a whole goes by.
    pub(in crate::pool) fn policy(&self) -> &Policy {
        self.policies
            .get(&self.current)
            .expect("the current generation is never unloaded")
    }

    /// The policy of a generation; the current one's while the generation is not loaded yet.
    pub(in crate::pool) fn policy_of(&self, generation: Generation) -> &Policy {
        self.policies.get(&generation).unwrap_or_else(|| self.policy())
    }

    pub(in crate::pool) fn is_loaded(&self, generation: Generation) -> bool {
        self.policies.contains_key(&generation)
    }

    pub(in crate::pool) fn loaded(&self) -> impl Iterator<Item = Generation> {
        self.policies.keys().copied()
    }

    /// The finest grid on which the workers of any loaded generation beat.
    pub(in crate::pool) fn beat_interval(&self) -> Duration {
        self.policies
            .values()
            .map(|policy| policy.heartbeat_interval)
            .min()
            .unwrap_or_default()
    }

    /// The number of slots that a generation brings, if its configuration asks for another one than the
    /// current generation's. Otherwise the number of slots stays what it is, because it may have been scaled
    /// by hand.
    pub(in crate::pool) fn new_size(&self, generation: Generation) -> Option<u16> {
        let workers = self.policy_of(generation).workers;
        (workers != self.policy().workers).then(|| clamp(workers))
    }

    /// The number of the next generation that is tried.
    pub(in crate::pool) fn try_next(&mut self) -> Generation {
        self.newest = self.newest.next();
        self.newest
    }

    pub(in crate::pool) fn load(&mut self, generation: Generation, policy: Policy) {
        self.policies.insert(generation, policy);
    }

    /// Every slot runs `target`, which becomes the current generation.
    pub(in crate::pool) fn commit(&mut self, target: Generation) {
        self.previous = Some(std::mem::replace(&mut self.current, target));
    }

    /// The loaded generations that are not `needed`, and neither the current one nor the one to roll back to.
    pub(in crate::pool) fn unneeded(&self, needed: impl Fn(Generation) -> bool) -> Vec<Generation> {
        let kept = [Some(self.current), self.previous];
        self.loaded()
            .filter(|generation| !kept.contains(&Some(*generation)) && !needed(*generation))
            .collect()
    }

    pub(in crate::pool) fn unload(&mut self, generation: Generation) {
        self.policies.remove(&generation);
    }
}
