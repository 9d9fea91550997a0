//! Who a worker is.

use crate::base::ids::{Generation, Life};

/// Who a worker is: what [`crate::Worker::identity`] answers and what the `CLUSTER_…` variables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Incarnation, slot and epoch; never repeats over one data directory.
    pub life: Life,
    /// Which binary and configuration.
    pub generation: Generation,
}
