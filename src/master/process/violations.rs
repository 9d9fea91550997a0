//! What a worker says that cannot be true, or does not hear: dropped, and told once for each kind and life, because one that lies
//! may do so a thousand times a second. It must not know what follows; nothing does.

use std::fmt;

use tracing::{debug, warn};

use crate::base::ids::Life;
use crate::scoreboard::{CounterValues, Vitals};

/// One of them.
#[derive(Debug)]
pub(in crate::master) enum Odd {
    /// On its notify socket, by the kernel's word.
    OtherProcess { pid: i32 },
    /// On its notify socket.
    Garbled,
    /// On its notify socket.
    ReadyAgain,
    /// On its lifeline.
    NoReport(String),
    /// On its scoreboard.
    FromTheFuture,
    /// On its scoreboard.
    Fallen,
    /// Not its word but ours: it is not taken from the lifeline.
    Deaf(String),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Odd::OtherProcess { pid } => {
                write!(f, "dropped a notification that came from another process ({pid})")
            }
            Odd::Garbled => f.write_str("dropped a notification that is too long or no text"),
            Odd::ReadyAgain => f.write_str("dropped a second READY=1"),
            Odd::NoReport(why) => write!(f, "dropped a report that is none: {why}"),
            Odd::FromTheFuture => f.write_str(
                "dropped a stamp on its scoreboard that lies in the future; until it beats it is judged by its last good one",
            ),
            Odd::Fallen => {
                f.write_str("dropped counters on its scoreboard that fell; the most that was seen counts")
            }
            Odd::Deaf(why) => write!(
                f,
                "failed to hand it another one's queue or work: {why}; somebody else is asked, and this one again at the next beat"
            ),
        }
    }
}

impl Odd {
    /// Its place among those that were told.
    fn bit(&self) -> u8 {
        match self {
            Odd::OtherProcess { .. } => 1,
            Odd::Garbled => 2,
            Odd::ReadyAgain => 4,
            Odd::NoReport(_) => 8,
            Odd::FromTheFuture => 16,
            Odd::Fallen => 32,
            Odd::Deaf(_) => 64,
        }
    }
}

/// What was odd about one life so far. A new master binary begins anew.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::master) struct Oddities {
    told: u8,
    said_ready: bool,
    counts: CounterValues,
}

impl Oddities {
    /// Tells it, loudly the first time.
    pub(in crate::master) fn tell(&mut self, life: Life, odd: &Odd) {
        if self.is_new(odd) {
            warn!(%life, "{odd} (told once for each life)");
        } else {
            debug!(%life, "{odd}");
        }
    }

    fn is_new(&mut self, odd: &Odd) -> bool {
        let before = self.told;
        self.told |= odd.bit();
        before != self.told
    }

    /// It says READY=1: whether it does for the first time.
    pub(in crate::master) fn hears_ready(&mut self, life: Life) -> bool {
        if std::mem::replace(&mut self.said_ready, true) {
            self.tell(life, &Odd::ReadyAgain);
            return false;
        }
        true
    }

    /// Looks through what its scoreboard says.
    pub(in crate::master) fn look(&mut self, life: Life, vitals: &Vitals) {
        if vitals.from_the_future {
            self.tell(life, &Odd::FromTheFuture);
        }
        let before = std::mem::replace(&mut self.counts, vitals.counts);
        if fell(&before, &vitals.counts) {
            self.tell(life, &Odd::Fallen);
        }
    }
}

/// Whether anything is smaller that only grows.
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
        let mut oddities = Oddities::default();
        let kinds = || {
            [
                Odd::OtherProcess { pid: 1 },
                Odd::Garbled,
                Odd::ReadyAgain,
                Odd::NoReport(String::new()),
                Odd::FromTheFuture,
                Odd::Fallen,
                Odd::Deaf(String::new()),
            ]
        };
        assert!(kinds().iter().all(|odd| oddities.is_new(odd)));
        assert!(!kinds().iter().any(|odd| oddities.is_new(odd)));
    }

    #[test]
    fn what_only_grows_may_not_fall_and_what_is_open_may() {
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
