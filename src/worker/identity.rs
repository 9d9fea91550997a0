//! The identity of a worker.

use crate::base::ids::{Generation, Life};

/// The identity of a worker, which [`crate::Worker::identity`] returns and the `CLUSTER_…` variables hold.
///
/// ```
/// use cluster::base::ids::{Generation, Life};
/// use cluster::worker::Identity;
///
/// let identity = Identity { life: Life::of(7, 0, 3), generation: Generation(2) };
/// assert_eq!(identity.life.to_string(), "7/0/3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Incarnation, slot and epoch of the worker. A life never repeats over one data directory.
    pub life: Life,
    /// The pair of binary and configuration that the worker runs.
    pub generation: Generation,
}
