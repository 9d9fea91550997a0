//! The life of one connection as a value: [`ConnectionState::on`] is all of it. It must not know a socket, a
//! task or a clock; times are milliseconds of the worker's coarse clock, and whoever reports an event passes
//! the time along.

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum ConnectionPhase {
    /// HTTP/1.1, before the first request or between two: no byte of the next request has been read.
    Idle,
    /// HTTP/1.1: the head of a request has been arriving since this time.
    Reading { since_ms: u64 },
    /// HTTP/1.1: the head of a request is complete, and the head of its answer is not known.
    Handling,
    /// HTTP/1.1: the head of the answer is known, and not all of the answer is with the kernel.
    Writing {
        /// The body of the answer is over: the next flush ends the answer.
        body_is_over: bool,
    },
    /// HTTP/2: many requests at once.
    Multiplexed {
        /// Requests that are being answered.
        streams: u32,
        /// Answers that wait until the client makes room for more of their bodies.
        waiting: u32,
    },
    /// The answer of a handler has switched the connection to another protocol (101), and the application
    /// goes on.
    Upgraded,
    /// Everything is said. What the client still sends is read and thrown away, so that no reset overtakes
    /// the answer.
    Closing,
}

/// What the worker wants of a connection. A later order can only be a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) enum ConnectionOrder {
    /// Go on.
    Serve,
    /// Finish the request that is being answered, take no other, close.
    Finish,
    /// Stop now.
    Cut,
}

/// What has happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum ConnectionEvent {
    /// Bytes of the client were read. With them this number of HTTP/1.1 requests has begun to arrive since
    /// the connection was opened; `None` when that cannot be told.
    BytesArrived { begun: Option<u64> },
    /// The first bytes are those of HTTP/2.
    PrefaceArrived,
    /// The head of a request is complete, and the request was given to the service.
    RequestTaken,
    /// The head of an answer is known.
    AnswerBegun,
    /// HTTP/1.1: the head of an answer is known, and it switches the connection to another protocol.
    Switched,
    /// The body of an answer is over, or the request was given up.
    AnswerOver,
    /// HTTP/2: the body of an answer waits until the client makes room.
    AnswerWaits,
    /// HTTP/2: the body of an answer waits no more.
    AnswerGoesOn,
    /// The kernel took bytes for the client.
    BytesLeft,
    /// The kernel takes no more bytes for the client.
    WriteBlocked,
    /// All bytes that were written are with the kernel.
    Flushed,
    /// The client has closed its sending side, or the whole connection: only a write can tell which.
    InputEnded,
    /// The worker wants this.
    Ordered(ConnectionOrder),
    /// At a beat a time-out seemed to be over; the task of the connection has to look whether it is.
    TimeoutSuspected,
    /// The task has looked: no time-out is over.
    TimeoutRefuted,
    /// Serving has ended.
    ServingEnded,
}

/// Everything that is known about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct ConnectionState {
    phase: ConnectionPhase,
    order: ConnectionOrder,
    /// When a byte came or went last; at first, when the connection was accepted.
    last_byte_ms: u64,
    /// Since when the kernel takes no more bytes for the client.
    blocked_since_ms: Option<u64>,
    timeout_is_suspected: bool,
    input_has_ended: bool,
    /// An answer has ended since the last flush.
    has_unflushed_answer: bool,
    /// HTTP/1.1 requests that the client has begun to send; `None` when that cannot be told.
    requests_begun: Option<u64>,
    /// HTTP/1.1 requests that were given to the service.
    requests_taken: u64,
}

impl ConnectionState {
    /// A connection that was accepted at this time.
    pub(in crate::worker) fn new(now_ms: u64) -> ConnectionState {
        ConnectionState {
            phase: ConnectionPhase::Idle,
            order: ConnectionOrder::Serve,
            last_byte_ms: now_ms,
            blocked_since_ms: None,
            timeout_is_suspected: false,
            input_has_ended: false,
            has_unflushed_answer: false,
            requests_begun: Some(0),
            requests_taken: 0,
        }
    }

    /// The state after this event.
    pub(in crate::worker) fn on(mut self, event: ConnectionEvent, now_ms: u64) -> ConnectionState {
        self.phase = match self.phase.on(event, now_ms) {
            // Of the next request a part has arrived, with the last one that was answered: nobody is silent.
            ConnectionPhase::Idle if event == ConnectionEvent::Flushed && self.has_more_requests() => {
                ConnectionPhase::Reading { since_ms: now_ms }
            }
            phase => phase,
        };
        match event {
            ConnectionEvent::BytesArrived { begun } => {
                self.last_byte_ms = now_ms;
                self.requests_begun = begun;
            }
            ConnectionEvent::PrefaceArrived => self.last_byte_ms = now_ms,
            ConnectionEvent::BytesLeft => {
                self.last_byte_ms = now_ms;
                self.blocked_since_ms = None;
            }
            ConnectionEvent::WriteBlocked => {
                self.blocked_since_ms = self.blocked_since_ms.or(Some(now_ms));
            }
            ConnectionEvent::RequestTaken => self.requests_taken += 1,
            ConnectionEvent::Ordered(order) => self.order = self.order.max(order),
            ConnectionEvent::TimeoutSuspected => self.timeout_is_suspected = true,
            ConnectionEvent::TimeoutRefuted => self.timeout_is_suspected = false,
            ConnectionEvent::InputEnded => self.input_has_ended = true,
            ConnectionEvent::AnswerOver => self.has_unflushed_answer = true,
            ConnectionEvent::Flushed => self.has_unflushed_answer = false,
            ConnectionEvent::AnswerBegun
            | ConnectionEvent::Switched
            | ConnectionEvent::AnswerWaits
            | ConnectionEvent::AnswerGoesOn
            | ConnectionEvent::ServingEnded => {}
        }
        self
    }

    pub(in crate::worker) fn phase(&self) -> ConnectionPhase {
        self.phase
    }

    pub(in crate::worker) fn order(&self) -> ConnectionOrder {
        self.order
    }

    /// When a byte came or went last.
    pub(in crate::worker) fn last_byte_ms(&self) -> u64 {
        self.last_byte_ms
    }

    pub(in crate::worker) fn is_write_blocked(&self) -> bool {
        self.blocked_since_ms.is_some()
    }

    /// Since when the client has taken nothing of what there is for it. An HTTP/2 client can refuse to make
    /// room while the socket is empty.
    pub(in crate::worker) fn stalled_since_ms(&self) -> Option<u64> {
        let waits = matches!(self.phase, ConnectionPhase::Multiplexed { waiting: 1.., .. });
        self.blocked_since_ms
            .or_else(|| waits.then_some(self.last_byte_ms))
    }

    /// Whether the client has begun to send another HTTP/1.1 request behind the last one that was taken.
    pub(in crate::worker) fn has_more_requests(&self) -> bool {
        self.requests_begun
            .is_some_and(|begun| begun > self.requests_taken)
    }

    /// Whether a request is with the service, or its answer is not with the kernel yet.
    pub(in crate::worker) fn owes_an_answer(&self) -> bool {
        match self.phase {
            ConnectionPhase::Handling | ConnectionPhase::Writing { .. } => true,
            ConnectionPhase::Multiplexed { streams, .. } => {
                streams > 0 || self.has_unflushed_answer || self.is_write_blocked()
            }
            ConnectionPhase::Idle
            | ConnectionPhase::Reading { .. }
            | ConnectionPhase::Upgraded
            | ConnectionPhase::Closing => false,
        }
    }

    /// Whether the client has closed its side while an answer to it has begun or may have begun. If the
    /// client is gone, nothing else would end an answer that never ends by itself.
    pub(in crate::worker) fn may_be_abandoned(&self) -> bool {
        let is_answering = matches!(
            self.phase,
            ConnectionPhase::Writing { .. } | ConnectionPhase::Multiplexed { streams: 1.., .. }
        );
        self.input_has_ended && is_answering
    }

    pub(in crate::worker) fn is_timeout_suspected(&self) -> bool {
        self.timeout_is_suspected
    }

    /// Whether the connection will be closed, unless this very look finds that the client has sent something.
    pub(in crate::worker) fn is_about_to_close(&self) -> bool {
        self.timeout_is_suspected || self.order == ConnectionOrder::Finish
    }
}

impl ConnectionPhase {
    fn on(self, event: ConnectionEvent, now_ms: u64) -> ConnectionPhase {
        match self {
            ConnectionPhase::Idle => idle(event, now_ms),
            ConnectionPhase::Reading { since_ms } => reading(event, since_ms),
            ConnectionPhase::Handling => handling(event),
            ConnectionPhase::Writing { body_is_over } => writing(event, body_is_over),
            ConnectionPhase::Multiplexed { streams, waiting } => multiplexed(event, streams, waiting),
            ConnectionPhase::Upgraded => upgraded(event),
            ConnectionPhase::Closing => ConnectionPhase::Closing,
        }
    }

    pub(in crate::worker) fn is_multiplexed(self) -> bool {
        matches!(self, ConnectionPhase::Multiplexed { .. })
    }

    /// Whether the client owes the next byte: no request is being answered and none has begun to arrive.
    pub(in crate::worker) fn is_silent(self) -> bool {
        matches!(
            self,
            ConnectionPhase::Idle | ConnectionPhase::Multiplexed { streams: 0, .. }
        )
    }
}

const HTTP2: ConnectionPhase = ConnectionPhase::Multiplexed {
    streams: 0,
    waiting: 0,
};

fn idle(event: ConnectionEvent, now_ms: u64) -> ConnectionPhase {
    match event {
        ConnectionEvent::BytesArrived { .. } => ConnectionPhase::Reading { since_ms: now_ms },
        ConnectionEvent::PrefaceArrived => HTTP2,
        ConnectionEvent::RequestTaken => ConnectionPhase::Handling,
        ConnectionEvent::ServingEnded => ConnectionPhase::Closing,
        ConnectionEvent::AnswerBegun
        | ConnectionEvent::Switched
        | ConnectionEvent::AnswerOver
        | ConnectionEvent::AnswerWaits
        | ConnectionEvent::AnswerGoesOn
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => ConnectionPhase::Idle,
    }
}

fn reading(event: ConnectionEvent, since_ms: u64) -> ConnectionPhase {
    match event {
        ConnectionEvent::PrefaceArrived => HTTP2,
        ConnectionEvent::RequestTaken => ConnectionPhase::Handling,
        ConnectionEvent::ServingEnded => ConnectionPhase::Closing,
        // The time of the first byte counts.
        ConnectionEvent::BytesArrived { .. }
        | ConnectionEvent::AnswerBegun
        | ConnectionEvent::Switched
        | ConnectionEvent::AnswerOver
        | ConnectionEvent::AnswerWaits
        | ConnectionEvent::AnswerGoesOn
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => ConnectionPhase::Reading { since_ms },
    }
}

fn handling(event: ConnectionEvent) -> ConnectionPhase {
    match event {
        ConnectionEvent::AnswerBegun => ConnectionPhase::Writing { body_is_over: false },
        ConnectionEvent::Switched => ConnectionPhase::Upgraded,
        ConnectionEvent::ServingEnded => ConnectionPhase::Closing,
        // A request that is given up before its answer (`AnswerOver`) ends the connection next.
        ConnectionEvent::BytesArrived { .. }
        | ConnectionEvent::PrefaceArrived
        | ConnectionEvent::RequestTaken
        | ConnectionEvent::AnswerOver
        | ConnectionEvent::AnswerWaits
        | ConnectionEvent::AnswerGoesOn
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => ConnectionPhase::Handling,
    }
}

fn writing(event: ConnectionEvent, body_is_over: bool) -> ConnectionPhase {
    match event {
        // The next of several pipelined requests: hyper takes it before it has flushed this answer.
        ConnectionEvent::RequestTaken => ConnectionPhase::Handling,
        ConnectionEvent::AnswerOver => ConnectionPhase::Writing { body_is_over: true },
        ConnectionEvent::Flushed if body_is_over => ConnectionPhase::Idle,
        ConnectionEvent::ServingEnded => ConnectionPhase::Closing,
        ConnectionEvent::BytesArrived { .. }
        | ConnectionEvent::PrefaceArrived
        | ConnectionEvent::AnswerBegun
        | ConnectionEvent::Switched
        | ConnectionEvent::AnswerWaits
        | ConnectionEvent::AnswerGoesOn
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => ConnectionPhase::Writing { body_is_over },
    }
}

fn multiplexed(event: ConnectionEvent, streams: u32, waiting: u32) -> ConnectionPhase {
    let (streams, waiting) = match event {
        ConnectionEvent::ServingEnded => return ConnectionPhase::Closing,
        ConnectionEvent::RequestTaken => (streams + 1, waiting),
        ConnectionEvent::AnswerOver => (streams.saturating_sub(1), waiting),
        ConnectionEvent::AnswerWaits => (streams, waiting + 1),
        ConnectionEvent::AnswerGoesOn => (streams, waiting.saturating_sub(1)),
        ConnectionEvent::BytesArrived { .. }
        | ConnectionEvent::PrefaceArrived
        | ConnectionEvent::AnswerBegun
        | ConnectionEvent::Switched
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => (streams, waiting),
    };
    ConnectionPhase::Multiplexed { streams, waiting }
}

/// The application says when it is over.
fn upgraded(event: ConnectionEvent) -> ConnectionPhase {
    match event {
        ConnectionEvent::ServingEnded => ConnectionPhase::Closing,
        ConnectionEvent::BytesArrived { .. }
        | ConnectionEvent::PrefaceArrived
        | ConnectionEvent::RequestTaken
        | ConnectionEvent::AnswerBegun
        | ConnectionEvent::Switched
        | ConnectionEvent::AnswerOver
        | ConnectionEvent::AnswerWaits
        | ConnectionEvent::AnswerGoesOn
        | ConnectionEvent::BytesLeft
        | ConnectionEvent::WriteBlocked
        | ConnectionEvent::Flushed
        | ConnectionEvent::InputEnded
        | ConnectionEvent::Ordered(_)
        | ConnectionEvent::TimeoutSuspected
        | ConnectionEvent::TimeoutRefuted => ConnectionPhase::Upgraded,
    }
}

#[cfg(test)]
mod tests;
