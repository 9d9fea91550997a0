//! Protocol violations of a worker: messages that cannot be true are dropped, and each kind is logged once
//! per life, because a faulty worker may send thousands of them per second. Nothing else follows from a
//! violation.

use std::fmt;
use std::time::Duration;

use tracing::{debug, warn};

use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::scoreboard::{CounterValues, Vitals};

/// One kind of violation.
#[derive(Debug)]
pub(in crate::master) enum Violation {
    /// A notification came from another process, as the kernel reports.
    OtherProcess { pid: i32 },
    /// A notification is too long or not text.
    Garbled,
    /// The worker sent `READY=1` twice.
    ReadyTwice,
    /// A packet on the lifeline is not a report.
    NotAReport(String),
    /// A stamp on the scoreboard is in the future.
    FutureStamp,
    /// A counter on the scoreboard has fallen.
    CounterFell,
    /// The worker does not read commands from its lifeline.
    Unreachable(String),
    /// The worker asks for listeners without end.
    TooManyListeners,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::OtherProcess { pid } => {
                write!(f, "dropped a notification that came from another process ({pid})")
            }
            Violation::Garbled => f.write_str("dropped a notification that is too long or no text"),
            Violation::ReadyTwice => f.write_str("dropped a second READY=1"),
            Violation::NotAReport(why) => write!(f, "dropped a packet that is not a report: {why}"),
            Violation::FutureStamp => f.write_str(
                "dropped a stamp on its scoreboard that is in the future; its last valid stamp counts until \
                 it beats again",
            ),
            Violation::CounterFell => {
                f.write_str("dropped counters on its scoreboard that fell; the largest values seen count")
            }
            Violation::Unreachable(why) => write!(
                f,
                "failed to hand it another worker's queue or work: {why}; another worker is asked, and this \
                 one again at the next beat"
            ),
            Violation::TooManyListeners => f.write_str(
                "refused a listener, because it asks for more than one every 100 ms; it may ask again later",
            ),
        }
    }
}

impl Violation {
    /// Its bit in the set of logged kinds.
    fn bit(&self) -> u8 {
        match self {
            Violation::OtherProcess { .. } => 1,
            Violation::Garbled => 2,
            Violation::ReadyTwice => 4,
            Violation::NotAReport(_) => 8,
            Violation::FutureStamp => 16,
            Violation::CounterFell => 32,
            Violation::Unreachable(_) => 64,
            Violation::TooManyListeners => 128,
        }
    }
}

/// The violations of one life so far. A new master binary starts with none.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::master) struct Violations {
    logged: u8,
    ready_received: bool,
    counts: CounterValues,
    /// When the listeners that it has asked for would all have been asked for, one every
    /// [`LISTENER_INTERVAL`].
    listeners_asked_until: Monotonic,
    listeners_refused: u32,
}

/// A worker may ask for one listener in this time, in the long run.
const LISTENER_INTERVAL: Duration = Duration::from_millis(100);
/// And for this number at once: twice as many as a program can have.
const LISTENERS_AT_ONCE: u32 = 128;

impl Violations {
    /// Logs a violation: as a warning the first time, later for debugging only.
    pub(in crate::master) fn report(&mut self, life: Life, violation: &Violation) {
        if self.is_new(violation) {
            warn!(%life, "{violation} (logged once per life and kind)");
        } else {
            debug!(%life, "{violation}");
        }
    }

    fn is_new(&mut self, violation: &Violation) -> bool {
        let before = self.logged;
        self.logged |= violation.bit();
        before != self.logged
    }

    /// Registers a `READY=1`; returns whether it is the first one.
    pub(in crate::master) fn first_ready(&mut self, life: Life) -> bool {
        if std::mem::replace(&mut self.ready_received, true) {
            self.report(life, &Violation::ReadyTwice);
            return false;
        }
        true
    }

    /// Registers a request for a listener; returns whether it is to be answered.
    pub(in crate::master) fn may_ask_for_listener(&mut self, life: Life, now: Monotonic) -> bool {
        let asked_until = self.listeners_asked_until.max(now);
        if asked_until.since(now) >= LISTENER_INTERVAL * LISTENERS_AT_ONCE {
            self.report(life, &Violation::TooManyListeners);
            return false;
        }
        self.listeners_asked_until = asked_until + LISTENER_INTERVAL;
        true
    }

    /// Number of listeners that it was refused.
    pub(in crate::master) fn listeners_refused(&self) -> u32 {
        self.listeners_refused
    }

    /// Registers that it was refused a listener; returns how often that was so before.
    pub(in crate::master) fn refused_listener(&mut self) -> u32 {
        let before = self.listeners_refused;
        self.listeners_refused = before.saturating_add(1);
        before
    }

    /// Checks a sample of the scoreboard.
    pub(in crate::master) fn check(&mut self, life: Life, vitals: &Vitals) {
        if vitals.from_the_future {
            self.report(life, &Violation::FutureStamp);
        }
        let before = std::mem::replace(&mut self.counts, vitals.counts);
        if fell(&before, &vitals.counts) {
            self.report(life, &Violation::CounterFell);
        }
    }
}

/// Whether a counter that only grows has become smaller.
fn fell(before: &CounterValues, now: &CounterValues) -> bool {
    let growing = |counts: &CounterValues| {
        let [first, second, third, fourth, fifth] = counts.responses;
        [
            counts.accepted,
            counts.refused,
            counts.requests,
            first,
            second,
            third,
            fourth,
            fifth,
            counts.panics,
            counts.request_timeouts,
            counts.header_timeouts,
            counts.log_lines_dropped,
            counts.cut,
        ]
    };
    growing(before)
        .iter()
        .zip(growing(now))
        .any(|(before, now)| now < *before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_new_once() {
        let mut violations = Violations::default();
        let kinds = || {
            [
                Violation::OtherProcess { pid: 1 },
                Violation::Garbled,
                Violation::ReadyTwice,
                Violation::NotAReport(String::new()),
                Violation::FutureStamp,
                Violation::CounterFell,
                Violation::Unreachable(String::new()),
                Violation::TooManyListeners,
            ]
        };
        assert!(kinds().iter().all(|violation| violations.is_new(violation)));
        assert!(!kinds().iter().any(|violation| violations.is_new(violation)));
    }

    #[test]
    fn a_flood_of_requests_for_listeners_is_stopped_and_forgiven() {
        let mut violations = Violations::default();
        let life = Life::of(1, 0, 1);
        let now = Monotonic(1_000_000_000);
        let mut asked = (0..1_000).filter(|_| violations.may_ask_for_listener(life, now));
        assert_eq!(asked.by_ref().count(), 128);
        drop(asked);
        let later = now + LISTENER_INTERVAL;
        assert!(violations.may_ask_for_listener(life, later));
        assert!(!violations.may_ask_for_listener(life, later));
        let much_later = now + LISTENER_INTERVAL * 1_000;
        let asked = (0..1_000).filter(|_| violations.may_ask_for_listener(life, much_later));
        assert_eq!(asked.count(), 128);
    }

    #[test]
    fn totals_may_not_fall_and_current_numbers_may() {
        let before = CounterValues {
            connections: 9,
            in_flight: 9,
            requests: 9,
            ..CounterValues::default()
        };
        let fewer_open = CounterValues {
            connections: 0,
            in_flight: 0,
            ..before
        };
        assert!(!fell(&before, &before) && !fell(&before, &fewer_open));
        let fewer = CounterValues {
            requests: 8,
            ..before
        };
        assert!(fell(&before, &fewer));
    }
}
