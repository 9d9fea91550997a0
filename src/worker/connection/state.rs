//! One connection as the driver knows it: its identity and its phase, readable by others while the connection is served.
//! It must not know HTTP, but for one thing: whether it carries one request at a time or many.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::task::Waker;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::worker) enum Phase {
    /// Between requests, or before the first: no byte of the next one has been read.
    Idle = 0,
    /// A request's head has begun to arrive.
    Reading = 1,
    /// The head is read, the answer's head is not known.
    Handling = 2,
    /// The answer is known and not wholly handed to the kernel.
    Writing = 3,
    /// Everything is said; what the client still sends is read and thrown away, so that no reset overtakes the answer.
    Closing = 4,
}

/// What the worker wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::worker) enum Order {
    /// Go on.
    Serve = 0,
    /// Finish the request that runs, take no other, close.
    Finish = 1,
    /// Stop now.
    Cut = 2,
}

/// One connection, shared by its task and those who look at all of them.
#[derive(Debug)]
pub(in crate::worker) struct Connection {
    /// Counted from 1 within this life; together with the life it never repeats.
    pub(in crate::worker) number: u64,
    pub(in crate::worker) peer: Option<SocketAddr>,
    phase: AtomicU8,
    /// When the request head began to arrive, in milliseconds of the worker's coarse clock.
    reading_since_ms: AtomicU64,
    /// When a byte came or went last, by the same clock; at first, when the connection came.
    stirred_ms: AtomicU64,
    /// Since when the kernel takes no more for the client; 0 when it does.
    blocked_since_ms: AtomicU64,
    /// How many answers wait for the client to make room: a shared connection can be stalled with an empty socket.
    owed: AtomicU32,
    /// Its time is over: its task is to look what for.
    hurried: AtomicBool,
    /// The answer's body has been handed to HTTP; the next flush ends it.
    answered: AtomicBool,
    order: AtomicU8,
    waker: OnceLock<Waker>,
    /// It carries many requests at once (HTTP/2): it is idle without any, and handling otherwise.
    shared: AtomicBool,
    /// How many those are.
    streams: AtomicU32,
    /// How many requests the client has begun to send (one at a time: HTTP/1.1), and how many were taken of them.
    begun: AtomicU64,
    taken: AtomicU64,
}

impl Connection {
    /// A connection that came at that time of the coarse clock.
    pub(in crate::worker) fn new(number: u64, peer: Option<SocketAddr>, now_ms: u64) -> Connection {
        Connection {
            number,
            peer,
            phase: AtomicU8::new(Phase::Idle as u8),
            reading_since_ms: AtomicU64::new(0),
            stirred_ms: AtomicU64::new(now_ms),
            blocked_since_ms: AtomicU64::new(0),
            owed: AtomicU32::new(0),
            hurried: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            order: AtomicU8::new(Order::Serve as u8),
            waker: OnceLock::new(),
            shared: AtomicBool::new(false),
            streams: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// From here on it carries many requests at once.
    pub(in crate::worker) fn share(&self) {
        self.shared.store(true, Relaxed);
        self.enter(Phase::Idle);
    }

    /// Whether it carries many requests at once.
    pub(in crate::worker) fn is_shared(&self) -> bool {
        self.shared.load(Relaxed)
    }

    pub(in crate::worker) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Reading,
            2 => Phase::Handling,
            3 => Phase::Writing,
            _ => Phase::Closing,
        }
    }

    /// Bytes arrived. When no request was under way, one is now.
    pub(in crate::worker) fn bytes_arrived(&self, now_ms: u64) {
        self.stirred_ms.store(now_ms, Relaxed);
        if self.phase() == Phase::Idle && !self.is_shared() {
            self.reading_since_ms.store(now_ms, Relaxed);
            self.enter(Phase::Reading);
        }
    }

    /// The kernel took bytes for the client.
    pub(in crate::worker) fn bytes_left(&self, now_ms: u64) {
        self.stirred_ms.store(now_ms, Relaxed);
        self.blocked_since_ms.store(0, Relaxed);
    }

    /// The kernel takes no more for the client. Whether it did until now.
    pub(in crate::worker) fn blocked(&self, now_ms: u64) -> bool {
        let first = self.blocked_since_ms.load(Relaxed) == 0;
        if first {
            self.blocked_since_ms.store(now_ms.max(1), Relaxed);
        }
        first
    }

    /// One more answer waits for the client to make room.
    pub(in crate::worker) fn owe(&self) {
        self.owed.fetch_add(1, Relaxed);
    }

    /// One fewer.
    pub(in crate::worker) fn owe_no_more(&self) {
        self.owed.fetch_sub(1, Relaxed);
    }

    /// When a byte came or went last, in milliseconds of the coarse clock.
    pub(in crate::worker) fn stirred_ms(&self) -> u64 {
        self.stirred_ms.load(Relaxed)
    }

    /// Since when the client has taken nothing of what there is for it.
    pub(in crate::worker) fn stalled_since_ms(&self) -> Option<u64> {
        match self.blocked_since_ms.load(Relaxed) {
            0 => (self.owed.load(Relaxed) > 0).then(|| self.stirred_ms()),
            since => Some(since),
        }
    }

    /// So many requests have begun to arrive; 0 when that is not known.
    pub(in crate::worker) fn begun(&self, requests: u64) {
        self.begun.store(requests, Relaxed);
    }

    /// Whether the client has begun to send another request behind the last one that was taken.
    pub(in crate::worker) fn has_more(&self) -> bool {
        self.begun.load(Relaxed) > self.taken.load(Relaxed)
    }

    /// A request's head is complete.
    pub(in crate::worker) fn handling(&self) {
        if self.is_shared() {
            self.streams.fetch_add(1, Relaxed);
        } else {
            self.answered.store(false, Relaxed);
            self.taken.fetch_add(1, Relaxed);
        }
        self.enter(Phase::Handling);
    }

    /// Its answer's head is known.
    pub(in crate::worker) fn writing(&self) {
        if !self.is_shared() {
            self.enter(Phase::Writing);
        }
    }

    /// Its answer's body is over (or was given up).
    pub(in crate::worker) fn answered(&self) {
        if !self.is_shared() {
            self.answered.store(true, Relaxed);
        } else if self.streams.fetch_sub(1, Relaxed) == 1 && self.phase() == Phase::Handling {
            self.enter(Phase::Idle);
        }
    }

    /// Everything that was written is with the kernel.
    pub(in crate::worker) fn flushed(&self) {
        if self.phase() == Phase::Writing && self.answered.load(Relaxed) {
            self.enter(Phase::Idle);
        }
    }

    pub(in crate::worker) fn closing(&self) {
        self.enter(Phase::Closing);
    }

    /// Since when its request head has been arriving, in milliseconds of the coarse clock.
    pub(in crate::worker) fn reading_since_ms(&self) -> Option<u64> {
        (self.phase() == Phase::Reading).then(|| self.reading_since_ms.load(Relaxed))
    }

    /// Tells it what to do, and wakes it. A stronger order stays.
    pub(in crate::worker) fn give(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.wake();
        }
    }

    /// Has its task look around.
    pub(in crate::worker) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    pub(in crate::worker) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Cut,
        }
    }

    /// Its time is over: has its task look what for.
    pub(in crate::worker) fn hurry(&self) {
        if !self.hurried.swap(true, Relaxed) {
            self.wake();
        }
    }

    /// Whether its time is over, unless something comes of this very look.
    pub(in crate::worker) fn is_hurried(&self) -> bool {
        self.hurried.load(Relaxed)
    }

    /// Whether it is to be closed unless something comes of this very look.
    pub(in crate::worker) fn is_leaving(&self) -> bool {
        self.is_hurried() || self.order() == Order::Finish
    }

    /// What it was late with has come after all.
    pub(in crate::worker) fn forgive(&self) {
        self.hurried.store(false, Relaxed);
    }

    /// Whom to wake for an order: a task has one waker for its whole life.
    pub(in crate::worker) fn remember(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            // It is set by this task alone, which has just seen it unset.
            let _first = self.waker.set(waker.clone());
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_through_the_phases_in_order() {
        let connection = Connection::new(1, None, 0);
        assert_eq!(connection.phase(), Phase::Idle);
        connection.bytes_arrived(7);
        assert_eq!(connection.reading_since_ms(), Some(7));
        connection.bytes_arrived(9);
        assert_eq!(connection.reading_since_ms(), Some(7), "the first byte counts");
        connection.handling();
        connection.flushed();
        assert_eq!(connection.phase(), Phase::Handling);
        connection.writing();
        connection.flushed();
        assert_eq!(connection.phase(), Phase::Writing, "the body is not over");
        connection.answered();
        connection.flushed();
        assert_eq!(connection.phase(), Phase::Idle);
    }

    #[test]
    fn a_shared_one_is_idle_when_its_last_request_is_answered() {
        let connection = Connection::new(1, None, 0);
        connection.bytes_arrived(7);
        connection.share();
        connection.bytes_arrived(8);
        assert_eq!(
            (connection.phase(), connection.reading_since_ms()),
            (Phase::Idle, None)
        );
        connection.handling();
        connection.handling();
        connection.writing();
        connection.answered();
        connection.flushed();
        assert_eq!(connection.phase(), Phase::Handling);
        connection.answered();
        assert_eq!(connection.phase(), Phase::Idle);
    }

    #[test]
    fn the_strongest_order_stays() {
        let connection = Connection::new(1, None, 0);
        connection.give(Order::Finish);
        assert_eq!(connection.order(), Order::Finish);
        connection.give(Order::Cut);
        connection.give(Order::Finish);
        assert_eq!(connection.order(), Order::Cut);
    }
}
