//! Waits for what can only be found out by asking again.

use std::time::{Duration, Instant};

use super::TIMEOUT;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until it holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}
