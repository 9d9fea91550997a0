//! What a transition of a worker may use beside the worker itself: the time, the policy of its generation,
//! the list of effects.

use super::heartbeat::Stall;
use crate::base::ids::Generation;
use crate::base::time::Monotonic;
use crate::pool::deploy::generations::Generations;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, announce};
use crate::pool::protocol::facts::Policy;

/// The moment at which a batch of events is handled, and the policies that apply.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Conditions<'a> {
    pub(in crate::pool) now: Monotonic,
    /// The last stretch during which the master did not run.
    pub(in crate::pool) stall: Stall,
    pub(in crate::pool) generations: &'a Generations,
}

impl<'a> Conditions<'a> {
    /// The same for a worker of one generation.
    pub(in crate::pool) fn context(
        self,
        generation: Generation,
        effects: &'a mut Vec<Effect>,
    ) -> WorkerContext<'a> {
        WorkerContext {
            now: self.now,
            stall: self.stall,
            policy: self.generations.policy_of(generation),
            effects,
        }
    }
}

/// What one worker's transition may use.
pub(in crate::pool) struct WorkerContext<'a> {
    pub(in crate::pool) now: Monotonic,
    /// The last stretch during which the master did not run.
    pub(in crate::pool) stall: Stall,
    /// The policy of the worker's generation.
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) effects: &'a mut Vec<Effect>,
}

impl WorkerContext<'_> {
    pub(in crate::pool) fn announce(&mut self, announcement: Announcement) {
        announce(announcement, self.effects);
    }
}
