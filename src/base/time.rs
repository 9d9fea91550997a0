//! Time as the pure cores see it: an instant of the monotonic clock handed in as an argument, and the grid that beats lie on.
//! Nothing here reads a clock.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant of `CLOCK_MONOTONIC`, in nanoseconds since the machine booted. Shared by every process of one host, does not
/// advance while the machine is suspended, and is never set back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;

    fn add(self, by: Duration) -> Monotonic {
        Monotonic(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// The instants `k × interval`: beats are stamped on them and looked at shortly after them by everyone, so that an idle
/// cluster wakes once per point and not once per process and point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    interval_ns: u64,
}

impl Grid {
    /// A grid with that much between two points; an interval of zero is taken as a nanosecond.
    #[must_use]
    pub fn new(interval: Duration) -> Grid {
        Grid {
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
        }
    }

    /// The distance of two points.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// The first point later than `now`.
    #[must_use]
    pub fn after(self, now: Monotonic) -> Monotonic {
        let point = now.0 / self.interval_ns;
        Monotonic(point.saturating_add(1).saturating_mul(self.interval_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_point_is_always_later() {
        let grid = Grid::new(Duration::from_millis(250));
        assert_eq!(grid.after(Monotonic(0)), Monotonic(250_000_000));
        assert_eq!(grid.after(Monotonic(249_999_999)), Monotonic(250_000_000));
        assert_eq!(grid.after(Monotonic(250_000_000)), Monotonic(500_000_000));
    }

    #[test]
    fn the_future_is_not_negative() {
        assert_eq!(Monotonic(5).since(Monotonic(9)), Duration::ZERO);
    }
}
