//! One connection as its own task and all others see it: identity, state, and whom to wake. It must not
//! decide anything; the state does.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::age::ConnectionAge;
use super::state::{ConnectionEvent, ConnectionOrder, ConnectionState};
use super::upgraded_socket::UpgradedSocket;
use crate::base::time::Monotonic;
use crate::config::ListenerRole;
use crate::sys::thread_cell::ThreadCell;

/// Milliseconds of the monotonic clock at the last beat: exact enough for a time-out, and read for nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::worker) struct CoarseClock(Arc<AtomicU64>);

impl CoarseClock {
    pub(in crate::worker) fn now_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Moves the clock to `now`. The time it showed before.
    pub(in crate::worker) fn advance(&self, now: Monotonic) -> u64 {
        self.0.swap(now.0 / 1_000_000, Relaxed)
    }
}

/// One connection, shared by its task, the tasks of its HTTP/2 streams, and the beat and the drain of its
/// worker. All of them run on the one thread of the worker's runtime.
#[derive(Debug)]
pub(in crate::worker) struct Connection {
    /// Counted from 1 within this life; together with the life it never repeats.
    pub(in crate::worker) number: u64,
    /// The address of the client; unknown on a unix socket.
    pub(in crate::worker) peer: Option<SocketAddr>,
    /// The role of the listener that the client came through.
    pub(in crate::worker) role: ListenerRole,
    age: ConnectionAge,
    clock: CoarseClock,
    state: ThreadCell<ConnectionState>,
    waker: OnceLock<Waker>,
    /// The socket, once the connection has switched to another protocol.
    upgraded: OnceLock<Arc<UpgradedSocket>>,
}

impl Connection {
    pub(in crate::worker) fn new(
        number: u64,
        peer: Option<SocketAddr>,
        role: ListenerRole,
        age: ConnectionAge,
        clock: CoarseClock,
    ) -> Connection {
        let state = ConnectionState::new(clock.now_ms());
        Connection {
            number,
            peer,
            role,
            age,
            clock,
            state: ThreadCell::new(state),
            waker: OnceLock::new(),
            upgraded: OnceLock::new(),
        }
    }

    /// The state as it is now.
    pub(in crate::worker) fn state(&self) -> ConnectionState {
        self.state.get()
    }

    /// Whether it is so old that it is told to go.
    pub(in crate::worker) fn is_old(&self) -> bool {
        self.age.is_old(self.clock.now_ms())
    }

    /// Whether it is so old that what it is still answering is cut.
    pub(in crate::worker) fn is_too_old(&self) -> bool {
        self.age.is_over(self.clock.now_ms())
    }

    /// Something has happened. The state before it.
    pub(in crate::worker) fn on(&self, event: ConnectionEvent) -> ConnectionState {
        let before = self.state.get();
        self.state.set(before.on(event, self.clock.now_ms()));
        before
    }

    /// Gives an order; a stronger one stays. The task of the connection is woken if the order is new.
    pub(in crate::worker) fn give(&self, order: ConnectionOrder) {
        if self.on(ConnectionEvent::Ordered(order)).order() < order {
            self.wake();
        }
    }

    /// Has the task of the connection look whether a time-out is over.
    pub(in crate::worker) fn suspect_timeout(&self) {
        if !self.on(ConnectionEvent::TimeoutSuspected).is_timeout_suspected() {
            self.wake();
        }
    }

    /// Has the task of the connection look around.
    pub(in crate::worker) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// The connection has switched: its task and the application share the socket. It switches once.
    pub(in crate::worker) fn share(&self, socket: Arc<UpgradedSocket>) {
        let first = self.upgraded.set(socket);
        debug_assert!(first.is_ok(), "a connection switches to another protocol once");
    }

    /// The shared socket, once the connection has switched.
    pub(in crate::worker) fn upgraded(&self) -> Option<Arc<UpgradedSocket>> {
        self.upgraded.get().cloned()
    }

    /// Whom to wake: a task has one waker for its whole life.
    pub(in crate::worker) fn remember(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            // It is set by this task alone, which has just seen it unset.
            let _first = self.waker.set(waker.clone());
        }
    }
}
