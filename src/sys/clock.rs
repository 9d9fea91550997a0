//! The clocks of the machine. Decisions are made by the monotonic one. It must not know which decisions.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::base::time::Monotonic;

/// The time of `CLOCK_MONOTONIC`: nanoseconds since boot, the same for every process of the host.
#[must_use]
pub fn now() -> Monotonic {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has had CLOCK_MONOTONIC since 2.6");
    Monotonic(u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

/// The time of `CLOCK_BOOTTIME`: milliseconds since boot, with the time that the machine was suspended.
#[must_use]
pub fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had CLOCK_BOOTTIME since 2.6.39");
    u64::try_from(Duration::from(time).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let first = now();
        assert!(now() >= first);
        assert!(first > Monotonic(0));
    }
}
