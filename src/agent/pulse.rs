//! What a program says of its own life: the beats of Node's preload, and `WATCHDOG=1`. It must not know what
//! follows when they stay out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::base::time::Monotonic;
use crate::sys::clock;

/// Where a beat of a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PulseSource {
    /// Node's preload beats from the event loop, at every point of the grid.
    Node,
    /// The program says `WATCHDOG=1`, at least once in `WATCHDOG_USEC`.
    Watchdog,
}

/// The last beats of a program. A source that has never beaten is not expected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulses {
    /// The last beat of Node's event loop.
    pub node: Option<Monotonic>,
    /// When the program last said `WATCHDOG=1`.
    pub watchdog: Option<Monotonic>,
}

/// The pulse of one program. Cheap to clone: whoever hears the program has one, and so has who judges it.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    inner: Arc<PulseInner>,
}

#[derive(Debug, Default)]
struct PulseInner {
    pulses: Mutex<Pulses>,
    turned: Notify,
}

impl Pulse {
    /// The program has given a sign of life. From the first one on, more are expected.
    pub fn beat(&self, source: PulseSource) {
        let now = Some(clock::now());
        match source {
            PulseSource::Node => {
                self.pulses().node = now;
                self.inner.turned.notify_one();
            }
            PulseSource::Watchdog => self.pulses().watchdog = now,
        }
    }

    /// No more beats are expected of that source: the process behind it has ended, such as a compiler that
    /// ran before the program.
    pub fn forget(&self, source: PulseSource) {
        match source {
            PulseSource::Node => self.pulses().node = None,
            PulseSource::Watchdog => self.pulses().watchdog = None,
        }
    }

    /// The last beats.
    #[must_use]
    pub fn last(&self) -> Pulses {
        *self.pulses()
    }

    /// Returns at the next beat of Node's event loop, at once when there was one since the last time. For one
    /// task alone.
    pub async fn turned(&self) {
        self.inner.turned.notified().await;
    }

    fn pulses(&self) -> MutexGuard<'_, Pulses> {
        self.inner.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_known_by_its_last_beat_until_it_is_forgotten() {
        let pulse = Pulse::default();
        assert_eq!(pulse.last(), Pulses::default());
        let before = clock::now();
        pulse.clone().beat(PulseSource::Node);
        let found = pulse.last();
        assert!(
            found.node >= Some(before) && found.watchdog.is_none(),
            "{found:?}"
        );
        pulse.beat(PulseSource::Watchdog);
        pulse.forget(PulseSource::Node);
        let found = pulse.last();
        assert!(
            found.watchdog >= Some(before) && found.node.is_none(),
            "{found:?}"
        );
        pulse.forget(PulseSource::Watchdog);
        assert_eq!(pulse.last(), Pulses::default());
    }
}
