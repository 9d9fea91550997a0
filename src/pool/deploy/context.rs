//! What a step of a rollout may use beside the rollout itself.

use crate::base::time::Monotonic;
use crate::pool::protocol::facts::Policy;

/// Time, policy and chance, as a rollout needs them.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct RolloutContext<'a> {
    pub(in crate::pool) now: Monotonic,
    /// The policy of the generation that is rolled out.
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) random: u64,
}
