//! The open connections of this worker, all of them. It must not know how one is served.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::age::AgeLimit;
use super::overdue::{Overdue, Timeouts};
use super::shared::{CoarseClock, Connection};
use super::state::{ConnectionEvent, ConnectionOrder, ConnectionPhase, ConnectionState};
use crate::base::time::Monotonic;
use crate::config::HttpSettings;
use crate::config::ListenerRole;
use crate::scoreboard::{Board, Counter};

/// All open connections.
#[derive(Debug)]
pub(in crate::worker) struct Connections {
    board: Board,
    timeouts: Timeouts,
    age: AgeLimit,
    clock: CoarseClock,
    table: Mutex<Table>,
    /// A connection was closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last_number: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

/// Keeps a connection in the table; dropping the guard takes the connection out.
#[derive(Debug)]
pub(in crate::worker) struct ConnectionGuard {
    pub(in crate::worker) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// How many open connections are in which phase, without those that are closing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct PhaseCounts {
    pub(in crate::worker) idle: usize,
    pub(in crate::worker) reading: usize,
    pub(in crate::worker) handling: usize,
    pub(in crate::worker) writing: usize,
    pub(in crate::worker) upgraded: usize,
}

impl PhaseCounts {
    fn add(&mut self, phase: ConnectionPhase) {
        match phase {
            ConnectionPhase::Idle | ConnectionPhase::Multiplexed { streams: 0, .. } => self.idle += 1,
            ConnectionPhase::Reading { .. } => self.reading += 1,
            ConnectionPhase::Handling | ConnectionPhase::Multiplexed { .. } => self.handling += 1,
            ConnectionPhase::Writing { .. } => self.writing += 1,
            ConnectionPhase::Upgraded => self.upgraded += 1,
            ConnectionPhase::Closing => {}
        }
    }

    pub(in crate::worker) fn all(&self) -> usize {
        self.idle + self.reading + self.handling + self.writing + self.upgraded
    }
}

impl Connections {
    pub(in crate::worker) fn new(board: Board, limits: &HttpSettings) -> Connections {
        Connections {
            board,
            timeouts: Timeouts::new(limits),
            age: AgeLimit::new(limits),
            clock: CoarseClock::default(),
            table: Mutex::default(),
            closed: Notify::new(),
        }
    }

    /// Enters a new connection, unless `limit` connections are open.
    pub(in crate::worker) fn register(
        self: &Arc<Self>,
        peer: Option<SocketAddr>,
        role: ListenerRole,
        limit: usize,
    ) -> Option<ConnectionGuard> {
        let mut table = self.table();
        if table.open.len() >= limit {
            return None;
        }
        table.last_number += 1;
        let (number, clock) = (table.last_number, self.clock.clone());
        let age = self.age.from(clock.now_ms(), fastrand::f64());
        let connection = Arc::new(Connection::new(number, peer, role, age, clock));
        table.open.insert(connection.number, Arc::clone(&connection));
        self.publish(&table);
        Some(ConnectionGuard {
            connection,
            connections: Arc::clone(self),
        })
    }

    /// The number of open connections.
    pub(in crate::worker) fn count(&self) -> usize {
        self.table().open.len()
    }

    /// How many connections are in which phase, for the report of what was cut.
    pub(in crate::worker) fn phases(&self) -> PhaseCounts {
        let mut counts = PhaseCounts::default();
        for connection in self.table().open.values() {
            counts.add(connection.state().phase());
        }
        counts
    }

    /// Gives the same order to all connections.
    pub(in crate::worker) fn order_all(&self, order: ConnectionOrder) {
        for connection in self.open() {
            connection.give(order);
        }
    }

    /// Has the task of each connection look around: the drain has begun.
    pub(in crate::worker) fn wake_all(&self) {
        for connection in self.open() {
            connection.wake();
        }
    }

    /// At each beat: moves the coarse clock on, and suspects the connections that keep the worker waiting too
    /// long.
    pub(in crate::worker) fn beat(&self, now: Monotonic) {
        // Measured up to the beat before this one, because the coarse clock may have been a whole interval
        // slow, or have stood still with the whole process.
        let before_ms = self.clock.advance(now);
        for connection in self.table().open.values() {
            if self.timeouts.overdue(&connection.state(), before_ms).is_some() {
                connection.suspect_timeout();
            }
            // Over HTTP/1.1 the next answer says it.
            if connection.is_old() && connection.state().phase().is_multiplexed() {
                connection.wake();
            }
        }
    }

    /// The time-out of a suspected connection that is really over. When there is none, the suspicion is
    /// dropped.
    pub(in crate::worker) fn overdue(
        &self,
        connection: &Connection,
        state: &ConnectionState,
    ) -> Option<Overdue> {
        if !state.is_timeout_suspected() {
            return None;
        }
        let overdue = self.timeouts.overdue(state, self.clock.now_ms());
        if overdue.is_none() {
            connection.on(ConnectionEvent::TimeoutRefuted);
        }
        overdue
    }

    /// Returns when a connection was closed.
    pub(in crate::worker) async fn one_closed(&self) {
        self.closed.notified().await;
    }

    /// Returns when no connection is open.
    pub(in crate::worker) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }

    /// All open connections, oldest first.
    fn open(&self) -> Vec<Arc<Connection>> {
        self.table().open.values().cloned().collect()
    }

    fn publish(&self, table: &Table) {
        let open = table.open.len() as u64;
        self.board.counters().set(Counter::ConnectionsOpen, open);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.open.remove(&self.connection.number);
        self.connections.publish(&table);
        drop(table);
        self.connections.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Settings;

    fn limits() -> HttpSettings {
        HttpSettings {
            header_read_timeout: Duration::from_secs(1),
            ..Settings::default().http
        }
    }

    #[test]
    fn connections_are_bounded_and_counted() {
        let board = Board::private();
        let connections = Arc::new(Connections::new(board.clone(), &limits()));
        let first = connections.register(None, ListenerRole::Public, 2).expect("room");
        let second = connections.register(None, ListenerRole::Public, 2).expect("room");
        assert!(connections.register(None, ListenerRole::Public, 2).is_none());
        assert_eq!(board.counters().value(Counter::ConnectionsOpen), 2);
        drop(first);
        let third = connections.register(None, ListenerRole::Public, 2).expect("room");
        assert_eq!((second.connection.number, third.connection.number), (2, 3));
    }

    #[test]
    fn a_head_that_takes_too_long_is_suspected_and_an_idle_connection_is_not() {
        let connections = Arc::new(Connections::new(Board::private(), &limits()));
        connections.beat(Monotonic(9_000_000_000));
        let (slow, idle) = (
            connections.register(None, ListenerRole::Public, 9).expect("room"),
            connections.register(None, ListenerRole::Public, 9).expect("room"),
        );
        let beat = |ms: u64| connections.beat(Monotonic(ms * 1_000_000));
        beat(10_000);
        slow.connection
            .on(ConnectionEvent::BytesArrived { begun: Some(1) });
        beat(10_900);
        beat(11_100);
        assert!(!slow.connection.state().is_timeout_suspected());
        beat(11_200);
        assert!(slow.connection.state().is_timeout_suspected());
        assert!(!idle.connection.state().is_timeout_suspected());
    }
}
