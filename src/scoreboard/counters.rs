//! What a worker counts about itself. It must not know what is concluded.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What is counted, each with its place in the layout. Numbers are never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Counter {
    /// Connections open now.
    ConnectionsOpen = 0,
    /// Connections accepted since the boot.
    Accepted = 1,
    /// Of those, how many were answered 503 and closed because `max_connections` were open or descriptors had
    /// run out.
    Refused = 2,
    /// Requests being handled now: their head was read, their answer is not wholly handed over.
    InFlight = 3,
    /// Requests since the boot.
    Requests = 4,
    /// Answers with a status of 1xx.
    Responses1xx = 5,
    /// Answers with a status of 2xx.
    Responses2xx = 6,
    /// Answers with a status of 3xx.
    Responses3xx = 7,
    /// Answers with a status of 4xx.
    Responses4xx = 8,
    /// Answers with a status of 5xx.
    Responses5xx = 9,
    /// Handlers that panicked.
    Panics = 10,
    /// Requests that ran into `request_timeout`.
    RequestTimeouts = 11,
    /// Connections whose request head took longer than `header_read_timeout`.
    HeaderTimeouts = 12,
    /// Log lines that were dropped because the log could not take them.
    LogLinesDropped = 13,
    /// Connections cut at the end of a drain.
    Cut = 14,
    /// How late the runtime ran its last beat, in nanoseconds; a timer's own coarseness (a millisecond or
    /// two) is part of it.
    LoopLagNs = 15,
    /// Connections open now that have switched to another protocol, such as WebSockets.
    UpgradedOpen = 16,
    /// Answers of unknown length that are being sent now, such as event streams.
    StreamsOpen = 17,
}

impl Counter {
    /// Which of the five counters an answer belongs to.
    #[must_use]
    pub fn of_status(status: u16) -> Counter {
        match status {
            0..=199 => Counter::Responses1xx,
            200..=299 => Counter::Responses2xx,
            300..=399 => Counter::Responses3xx,
            400..=499 => Counter::Responses4xx,
            500..=u16::MAX => Counter::Responses5xx,
        }
    }
}

/// A worker's own counters.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'board> {
    words: &'board [AtomicU64],
}

impl<'board> Counters<'board> {
    pub(super) fn new(words: &'board [AtomicU64]) -> Counters<'board> {
        Counters { words }
    }

    /// One more.
    pub fn add(self, counter: Counter) {
        self.words[counter as usize].fetch_add(1, Relaxed);
    }

    /// So many more; for what is counted elsewhere and told in parts.
    pub fn add_several(self, counter: Counter, more: u32) {
        self.words[counter as usize].fetch_add(more.into(), Relaxed);
    }

    /// One less; for what is open or in flight.
    pub fn sub(self, counter: Counter) {
        self.words[counter as usize].fetch_sub(1, Relaxed);
    }

    /// Exactly that many; for what is counted elsewhere.
    pub fn set(self, counter: Counter, value: u64) {
        self.words[counter as usize].store(value, Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn value(self, counter: Counter) -> u64 {
        self.words[counter as usize].load(Relaxed)
    }
}
