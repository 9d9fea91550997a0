//! How long a connection may keep its worker waiting, and for what: the rest of a request's head, its next request, or taking
//! its answer. Pure: it is given times and has no clock. What follows is the connection's own task's to do.

use super::state::{Connection, Phase};
use crate::config::HttpSettings;

/// What a connection has kept its worker waiting for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Overdue {
    /// The rest of a request's head.
    Head,
    /// Any byte between requests, or before the first.
    Silence,
    /// That the client takes something of its answer.
    Stall,
}

/// The longest that each may take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Patience {
    head: u64,
    silence: u64,
    stall: u64,
}

impl Patience {
    pub(in crate::worker) fn new(limits: &HttpSettings) -> Patience {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Patience {
            head: ms(limits.header_read_timeout),
            silence: ms(limits.idle_timeout),
            stall: ms(limits.write_timeout),
        }
    }

    /// What this connection is overdue with, at that time of the coarse clock.
    pub(in crate::worker) fn ends_for(&self, connection: &Connection, now_ms: u64) -> Option<Overdue> {
        let over = |since: u64, most: u64| now_ms.saturating_sub(since) >= most;
        if connection
            .stalled_since_ms()
            .is_some_and(|since| over(since, self.stall))
        {
            return Some(Overdue::Stall);
        }
        match connection.phase() {
            Phase::Idle => over(connection.stirred_ms(), self.silence).then_some(Overdue::Silence),
            Phase::Reading => over(connection.reading_since_ms()?, self.head).then_some(Overdue::Head),
            // A handler has its own limit, a body of an answer none, and the last word is bounded by its linger.
            Phase::Handling | Phase::Writing | Phase::Closing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: 10,
        silence: 100,
        stall: 50,
    };

    fn at(connection: &Connection, now_ms: u64) -> Option<Overdue> {
        PATIENCE.ends_for(connection, now_ms)
    }

    #[test]
    fn silence_counts_from_the_last_byte_and_ends_with_the_next() {
        let connection = Connection::new(1, None, 1000);
        assert_eq!(
            (at(&connection, 1099), at(&connection, 1100)),
            (None, Some(Overdue::Silence))
        );
        connection.bytes_arrived(1100);
        assert_eq!(
            (at(&connection, 1109), at(&connection, 1110)),
            (None, Some(Overdue::Head))
        );
        connection.handling();
        assert_eq!(at(&connection, 9000), None, "a handler has a limit of its own");
        connection.writing();
        connection.answered();
        connection.bytes_left(9000);
        connection.flushed();
        assert_eq!(
            (at(&connection, 9099), at(&connection, 9100)),
            (None, Some(Overdue::Silence))
        );
    }

    #[test]
    fn a_client_that_takes_nothing_stalls_and_one_that_is_sent_nothing_does_not() {
        let connection = Connection::new(1, None, 1000);
        connection.bytes_arrived(1000);
        connection.handling();
        connection.writing();
        assert_eq!(
            at(&connection, 90_000),
            None,
            "an answer that says nothing for long"
        );
        connection.blocked(90_000);
        connection.blocked(90_049);
        assert_eq!(
            (at(&connection, 90_049), at(&connection, 90_050)),
            (None, Some(Overdue::Stall))
        );
        connection.bytes_left(90_050);
        assert_eq!(at(&connection, 99_000), None);
    }

    #[test]
    fn a_shared_one_stalls_when_an_answer_waits_for_its_client_and_no_byte_moves() {
        let connection = Connection::new(1, None, 1000);
        connection.share();
        connection.handling();
        assert_eq!(at(&connection, 9000), None);
        connection.owe();
        connection.bytes_left(9000);
        assert_eq!(
            (at(&connection, 9049), at(&connection, 9050)),
            (None, Some(Overdue::Stall))
        );
        connection.owe_no_more();
        assert_eq!(at(&connection, 9050), None);
        connection.answered();
        assert_eq!(at(&connection, 9100), Some(Overdue::Silence));
    }
}
