//! Protocol violations of a worker: messages that cannot be true are dropped, and each kind is logged once
//! per life, because a faulty worker may send thousands of them per second. Nothing else follows from a
//! violation.

use std::fmt;

use tracing::{debug, warn};

use crate::base::ids::Life;
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
        }
    }
}

/// The violations of one life so far. A new master binary starts with none.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::master) struct Violations {
    logged: u8,
    ready_received: bool,
    counts: CounterValues,
}

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
            ]
        };
        assert!(kinds().iter().all(|violation| violations.is_new(violation)));
        assert!(!kinds().iter().any(|violation| violations.is_new(violation)));
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
