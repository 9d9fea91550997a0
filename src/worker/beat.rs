//! The beat: the runtime that runs the handlers stamps its cell at every point of the shared grid. The same
//! wake-up does other regular work. It must not run anywhere but on that runtime: a beat from a side thread
//! would vouch for nothing.

use std::sync::Arc;
use std::time::Duration;

use super::connection::connections::Connections;
use super::handle::Worker;
use crate::base::time::Grid;
use crate::observe;
use crate::scoreboard::{Cell, Counter};
use crate::sys::{clock, memory};

/// After these numbers of beats, memory that only the boot needed is given back: first when no client waits
/// for the new worker any more, then when the regular work of an application was done for the first time,
/// which needs more memory than later.
const GIVE_BACK_AT: [u32; 2] = [4, 10];

/// What a worker does at every beat beside beating.
#[derive(Debug, Default)]
pub(crate) struct RegularWork {
    beats: u32,
}

impl RegularWork {
    /// Does it, at a beat that came so much later than it was due.
    pub(crate) fn run(&mut self, worker: &Worker, lag: Duration) {
        self.beats = self.beats.saturating_add(1);
        if GIVE_BACK_AT.contains(&self.beats) {
            memory::give_back();
            memory::forget_program();
        }
        let counters = worker.board().counters();
        counters.set(
            Counter::LoopLagNs,
            u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX),
        );
        observe::flush();
        counters.set(Counter::LogLinesDropped, observe::dropped());
    }
}

/// Beats for ever.
pub(super) async fn beat(worker: Worker, cell: Cell, connections: Arc<Connections>) {
    let settings = worker.settings();
    let grid = Grid::new(settings.cluster.heartbeat_interval);
    let mut work = RegularWork::default();
    let mut due = clock::now();
    loop {
        cell.stamp();
        let now = clock::now();
        connections.beat(now);
        work.run(&worker, now.since(due));
        let now = clock::now();
        due = grid.after(now);
        tokio::time::sleep(due.since(now)).await;
    }
}
