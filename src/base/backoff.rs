//! Exponential backoff with full-range-above-half jitter. Randomness comes in as an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long to wait after failure number `n`: `first × 2^(n-1)`, at most `longest`. The upper half of the
/// wait is random, so that workers that failed together do not start together ("equal jitter", after Brooker,
/// "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failure, before jitter.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row; zero after none. `random` is uniform over all of `u64`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cluster::base::backoff::Backoff;
    ///
    /// let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };
    /// assert_eq!(backoff.wait(0, 0), Duration::ZERO);
    /// assert_eq!(backoff.wait(3, 0), Duration::from_millis(200)); // the shortest of 200 to 400 ms
    /// ```
    #[must_use]
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        let half = doubled.min(self.longest) / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(random % nanos.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(5),
    };

    #[test]
    fn it_doubles_up_to_the_longest() {
        for (failures, whole_ms) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (7, 5_000),
            (40, 5_000),
            (u32::MAX, 5_000),
        ] {
            let whole = Duration::from_millis(whole_ms);
            assert_eq!(
                BACKOFF.wait(failures, 0),
                whole / 2,
                "shortest wait after {failures}"
            );
            let half_ns = u64::try_from((whole / 2).as_nanos()).expect("small");
            assert_eq!(
                BACKOFF.wait(failures, half_ns),
                whole,
                "longest wait after {failures}"
            );
            assert!(BACKOFF.wait(failures, u64::MAX) <= whole);
        }
    }

    #[test]
    fn no_failure_waits_nothing() {
        assert_eq!(BACKOFF.wait(0, u64::MAX), Duration::ZERO);
    }
}
