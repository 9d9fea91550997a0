//! The open connections of this worker, all of them. It must not know how one is served.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::overdue::{Overdue, Patience};
use super::state::{Connection, Order, Phase};
use crate::base::time::Monotonic;
use crate::scoreboard::{Board, Counter};

/// All open connections.
#[derive(Debug)]
pub(in crate::worker) struct Connections {
    board: Board,
    patience: Patience,
    /// Milliseconds of the monotonic clock at the last beat: exact enough for a time-out, and free on the hot path.
    coarse_ms: AtomicU64,
    table: Mutex<Table>,
    /// One was closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last_number: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

/// Keeps a connection in the table; dropping it takes the connection out.
#[derive(Debug)]
pub(in crate::worker) struct Seat {
    pub(in crate::worker) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(in crate::worker) fn new(board: Board, patience: Patience) -> Connections {
        Connections {
            board,
            patience,
            coarse_ms: AtomicU64::new(0),
            table: Mutex::default(),
            closed: Notify::new(),
        }
    }

    /// A seat for a new connection, unless `limit` are taken.
    pub(in crate::worker) fn seat(self: &Arc<Self>, peer: Option<SocketAddr>, limit: usize) -> Option<Seat> {
        let mut table = self.table();
        if table.open.len() >= limit {
            return None;
        }
        table.last_number += 1;
        let connection = Arc::new(Connection::new(table.last_number, peer, self.coarse_ms()));
        table.open.insert(connection.number, Arc::clone(&connection));
        self.board
            .counters()
            .set(Counter::ConnectionsOpen, table.open.len() as u64);
        Some(Seat {
            connection,
            connections: Arc::clone(self),
        })
    }

    /// How many are open.
    pub(in crate::worker) fn count(&self) -> usize {
        self.table().open.len()
    }

    /// How many are in which phase, for the report of what was cut.
    pub(in crate::worker) fn census(&self) -> BTreeMap<Phase, usize> {
        let mut census = BTreeMap::new();
        for connection in self.table().open.values() {
            *census.entry(connection.phase()).or_default() += 1;
        }
        census
    }

    /// All that are open, oldest first.
    pub(in crate::worker) fn open(&self) -> Vec<Arc<Connection>> {
        self.table().open.values().cloned().collect()
    }

    /// Gives all of them the same order.
    pub(in crate::worker) fn order_all(&self, order: Order) {
        for connection in self.open() {
            connection.give(order);
        }
    }

    /// Has the task of each look around: the drain has begun.
    pub(in crate::worker) fn wake_all(&self) {
        for connection in self.open() {
            connection.wake();
        }
    }

    /// At each beat: moves the coarse clock on, and hurries the connections that keep the worker waiting too long.
    pub(in crate::worker) fn beat(&self, now: Monotonic) {
        let before = self.coarse_ms.swap(now.0 / 1_000_000, Relaxed);
        for connection in self.table().open.values() {
            // Measured up to the beat before this one, because the coarse clock may have been a whole interval slow, or stood
            // still with the whole process.
            if self.patience.ends_for(connection, before).is_some() {
                connection.hurry();
            }
        }
    }

    /// What a hurried connection is late with still; when that is nothing, it is forgiven.
    pub(in crate::worker) fn overdue(&self, connection: &Connection) -> Option<Overdue> {
        if !connection.is_hurried() {
            return None;
        }
        let overdue = self.patience.ends_for(connection, self.coarse_ms());
        if overdue.is_none() {
            connection.forgive();
        }
        overdue
    }

    pub(in crate::worker) fn coarse_ms(&self) -> u64 {
        self.coarse_ms.load(Relaxed)
    }

    /// Returns when one of them was closed.
    pub(in crate::worker) async fn one_closed(&self) {
        self.closed.notified().await;
    }

    /// Returns when none is open.
    pub(in crate::worker) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.open.remove(&self.connection.number);
        self.connections
            .board
            .counters()
            .set(Counter::ConnectionsOpen, table.open.len() as u64);
        drop(table);
        self.connections.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{HttpSettings, Settings};

    fn patience() -> Patience {
        Patience::new(&HttpSettings {
            header_read_timeout: Duration::from_secs(1),
            ..Settings::default().http
        })
    }

    #[test]
    fn seats_are_bounded_and_counted() {
        let board = Board::private();
        let connections = Arc::new(Connections::new(board.clone(), patience()));
        let first = connections.seat(None, 2).expect("a seat");
        let second = connections.seat(None, 2).expect("a seat");
        assert!(connections.seat(None, 2).is_none());
        assert_eq!(board.counters().value(Counter::ConnectionsOpen), 2);
        drop(first);
        let third = connections.seat(None, 2).expect("a seat");
        assert_eq!((second.connection.number, third.connection.number), (2, 3));
    }

    #[test]
    fn a_head_that_takes_too_long_is_hurried_and_an_idle_one_is_not() {
        let connections = Arc::new(Connections::new(Board::private(), patience()));
        connections.beat(Monotonic(9_000_000_000));
        let (slow, idle) = (
            connections.seat(None, 9).expect("a seat"),
            connections.seat(None, 9).expect("a seat"),
        );
        let beat = |ms: u64| connections.beat(Monotonic(ms * 1_000_000));
        beat(10_000);
        slow.connection.bytes_arrived(connections.coarse_ms());
        beat(10_900);
        beat(11_100);
        assert!(!slow.connection.is_hurried());
        beat(11_200);
        assert!(slow.connection.is_hurried());
        assert!(!idle.connection.is_hurried());
    }
}
