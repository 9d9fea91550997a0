//! Time as the pure modules see it: an instant of the monotonic clock that comes in as an argument, and the
//! grid of instants at which workers stamp their beats. Nothing here reads a clock.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant of `CLOCK_MONOTONIC`, in nanoseconds since the machine booted. Every process of the host reads
/// the same clock. The clock stands still while the machine is suspended and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The time from `earlier` to this instant; zero when `earlier` is the later of the two.
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

/// The instants `k × interval`. Every worker stamps its beat at these points, and the master looks shortly
/// after them, so that the processes of an idle cluster wake up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    interval_ns: u64,
}

impl Grid {
    /// A grid with `interval` between two points; an interval of zero counts as one nanosecond.
    #[must_use]
    pub fn new(interval: Duration) -> Grid {
        Grid {
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
        }
    }

    /// The time between two points.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// The first point after `now`.
    #[must_use]
    pub fn after(self, now: Monotonic) -> Monotonic {
        let point = now.0 / self.interval_ns;
        Monotonic(point.saturating_add(1).saturating_mul(self.interval_ns))
    }
}

/// A duration as text, with about three digits and its unit.
#[must_use]
pub fn span(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
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

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(span(Duration::from_micros(1_250)), "1.2 ms");
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
        assert_eq!(span(Duration::from_secs(12)), "12.0 s");
    }
}
