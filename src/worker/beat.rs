//! The beat: the runtime that runs the handlers stamps its cell at every point of the shared grid, and does at the same wake-up
//! whatever else wants doing now and then. It must not run anywhere but on that runtime: a beat from a side thread would vouch
//! for nothing.

use std::sync::Arc;

use super::connections::Connections;
use super::handle::Worker;
use crate::base::time::Grid;
use crate::observe;
use crate::scoreboard::{Cell, Counter};
use crate::sys::clock;

/// Beats for ever.
pub(super) async fn beat(worker: Worker, cell: Cell, connections: Arc<Connections>) {
    let settings = worker.settings();
    let grid = Grid::new(settings.cluster.heartbeat_interval);
    let mut due = clock::now();
    loop {
        cell.stamp();
        let lag = clock::now().since(due);
        worker.board().counters().set(
            Counter::LoopLagNs,
            u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX),
        );
        connections.beat(clock::now(), settings.http.header_read_timeout);
        observe::flush();
        worker
            .board()
            .counters()
            .set(Counter::LogLinesDropped, observe::dropped());
        let now = clock::now();
        due = grid.after(now);
        tokio::time::sleep(due.since(now)).await;
    }
}
