//! How long a connection may keep its worker waiting, and for what: the rest of a request's head, the next
//! request, or the client's taking of its answer. Pure: a state and a time are passed in. What follows is the
//! decision of the connection's own task.

use super::state::{ConnectionPhase, ConnectionState};
use crate::config::HttpSettings;

/// The time-out of a connection that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Overdue {
    /// The rest of a request's head did not come in time.
    Head,
    /// No byte came between requests, or before the first.
    Silence,
    /// The client took nothing of its answer.
    Stall,
    /// The client has closed its side, and the answer to it said nothing for long: the client may be gone,
    /// and then nothing else would end the answer.
    Abandoned,
}

/// How the serving of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum ConnectionEnd {
    /// The conversation is over: by the client, by an error, or by an answer with `Connection: close`.
    Over,
    /// A silent connection was told to finish.
    Dismissed,
    /// A time-out is over.
    Late(Overdue),
    /// The worker ordered the connection to be cut.
    Cut,
}

/// The time-outs of a connection, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Timeouts {
    head_ms: u64,
    silence_ms: u64,
    stall_ms: u64,
    abandoned_ms: u64,
}

impl Timeouts {
    pub(in crate::worker) fn new(limits: &HttpSettings) -> Timeouts {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Timeouts {
            head_ms: ms(limits.header_read_timeout),
            silence_ms: ms(limits.idle_timeout),
            stall_ms: ms(limits.write_timeout),
            // A handler of HTTP/2 that has not answered has this time in any case.
            abandoned_ms: ms(limits.write_timeout.max(limits.request_timeout)),
        }
    }

    /// The time-out that is over at this time of the coarse clock.
    pub(in crate::worker) fn overdue(&self, state: &ConnectionState, now_ms: u64) -> Option<Overdue> {
        let is_over = |since_ms: u64, limit_ms: u64| now_ms.saturating_sub(since_ms) >= limit_ms;
        if let Some(since_ms) = state.stalled_since_ms()
            && is_over(since_ms, self.stall_ms)
        {
            return Some(Overdue::Stall);
        }
        if state.may_be_abandoned() && is_over(state.last_byte_ms(), self.abandoned_ms) {
            return Some(Overdue::Abandoned);
        }
        match state.phase() {
            ConnectionPhase::Idle | ConnectionPhase::Multiplexed { streams: 0, .. } => {
                is_over(state.last_byte_ms(), self.silence_ms).then_some(Overdue::Silence)
            }
            ConnectionPhase::Reading { since_ms } => is_over(since_ms, self.head_ms).then_some(Overdue::Head),
            // A handler has a time-out of its own, the body of an answer and an application that has
            // switched to another protocol have none, and closing is bounded by lingering.
            ConnectionPhase::Handling
            | ConnectionPhase::Writing { .. }
            | ConnectionPhase::Multiplexed { .. }
            | ConnectionPhase::Upgraded
            | ConnectionPhase::Closing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::connection::state::ConnectionEvent::{self, *};

    const TIMEOUTS: Timeouts = Timeouts {
        head_ms: 10,
        silence_ms: 100,
        stall_ms: 50,
        abandoned_ms: 500,
    };

    struct Timed(ConnectionState);

    impl Timed {
        fn new(now_ms: u64) -> Timed {
            Timed(ConnectionState::new(now_ms))
        }

        fn on(&mut self, event: ConnectionEvent, now_ms: u64) {
            self.0 = self.0.on(event, now_ms);
        }

        /// What is overdue at each of these times.
        fn at<const N: usize>(&self, times_ms: [u64; N]) -> [Option<Overdue>; N] {
            times_ms.map(|now_ms| TIMEOUTS.overdue(&self.0, now_ms))
        }
    }

    #[test]
    fn silence_counts_from_the_last_byte_and_ends_with_the_next() {
        let mut connection = Timed::new(1000);
        assert_eq!(connection.at([1099, 1100]), [None, Some(Overdue::Silence)]);
        connection.on(BytesArrived { begun: Some(1) }, 1100);
        assert_eq!(connection.at([1109, 1110]), [None, Some(Overdue::Head)]);
        connection.on(RequestTaken, 1110);
        assert_eq!(
            connection.at([9000]),
            [None],
            "a handler has a time-out of its own"
        );
        connection.on(AnswerBegun, 9000);
        connection.on(AnswerOver, 9000);
        connection.on(BytesLeft, 9000);
        connection.on(Flushed, 9000);
        assert_eq!(connection.at([9099, 9100]), [None, Some(Overdue::Silence)]);
    }

    #[test]
    fn the_first_byte_of_a_head_counts() {
        let mut connection = Timed::new(1000);
        connection.on(BytesArrived { begun: Some(1) }, 1007);
        connection.on(BytesArrived { begun: Some(1) }, 1009);
        assert_eq!(connection.at([1016, 1017]), [None, Some(Overdue::Head)]);
    }

    #[test]
    fn a_client_that_takes_nothing_stalls_and_one_that_is_sent_nothing_does_not() {
        let mut connection = Timed::new(1000);
        connection.on(BytesArrived { begun: Some(1) }, 1000);
        connection.on(RequestTaken, 1000);
        connection.on(AnswerBegun, 1000);
        assert_eq!(
            connection.at([90_000]),
            [None],
            "an answer that says nothing for long"
        );
        connection.on(WriteBlocked, 90_000);
        connection.on(WriteBlocked, 90_049);
        assert_eq!(connection.at([90_049, 90_050]), [None, Some(Overdue::Stall)]);
        connection.on(BytesLeft, 90_050);
        assert_eq!(connection.at([99_000]), [None]);
    }

    #[test]
    fn an_answer_to_a_client_that_has_closed_its_side_must_go_on() {
        let mut connection = Timed::new(1000);
        connection.on(BytesArrived { begun: Some(1) }, 1000);
        connection.on(RequestTaken, 1000);
        connection.on(InputEnded, 1000);
        assert_eq!(
            connection.at([9000]),
            [None],
            "a handler has a time-out of its own"
        );
        connection.on(AnswerBegun, 9000);
        connection.on(BytesLeft, 9000);
        assert_eq!(connection.at([9499, 9500]), [None, Some(Overdue::Abandoned)]);
        connection.on(BytesLeft, 9500);
        assert_eq!(connection.at([9999, 10_000]), [None, Some(Overdue::Abandoned)]);
    }

    #[test]
    fn http2_stalls_when_an_answer_waits_for_its_client_and_no_byte_moves() {
        let mut connection = Timed::new(1000);
        connection.on(PrefaceArrived, 1000);
        connection.on(RequestTaken, 1000);
        assert_eq!(connection.at([9000]), [None]);
        connection.on(AnswerWaits, 9000);
        connection.on(BytesLeft, 9000);
        assert_eq!(connection.at([9049, 9050]), [None, Some(Overdue::Stall)]);
        connection.on(AnswerGoesOn, 9050);
        assert_eq!(connection.at([9050]), [None]);
        connection.on(AnswerOver, 9050);
        assert_eq!(connection.at([9100]), [Some(Overdue::Silence)]);
    }
}
