//! How many slots a cluster may have.

/// The fewest and the most slots a cluster may have.
pub const BOUNDS: std::ops::RangeInclusive<u16> = 1..=1024;

/// The number of slots that is nearest to `workers` and within the bounds.
pub(in crate::pool) fn clamp(workers: u16) -> u16 {
    workers.clamp(*BOUNDS.start(), *BOUNDS.end())
}
