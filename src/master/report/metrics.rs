//! The metrics of the whole cluster, for a worker that a client has asked for them: the sums over all
//! scoreboards, and the facts that only the master knows. It must not know how a worker presents them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::base::ids::{Epoch, Life, Slot};
use crate::base::millis::ms;
use crate::base::time::Monotonic;
use crate::control::{ClusterStatus, SlotReport, WorkerReport};
use crate::lifeline::Command;
use crate::master::control;
use crate::master::host::Host;
use crate::master::process::WorkerProcess;
use crate::metrics::{MasterFacts, SlotFacts, Snapshot};
use crate::observe;
use crate::pool::status::WorkerState;
use crate::pool::{CauseKind, FULL_SHARE, Pool};
use crate::scoreboard::{Counter, CounterValues};
use crate::sys::{clock, memfd};

impl Host {
    /// Adds the counters of a dead worker to those of all dead workers.
    pub(in crate::master) fn close_counters(&mut self, process: &WorkerProcess, cpu_time: Option<Duration>) {
        if self.listeners.admin.is_some() {
            self.persisted
                .ledger
                .look(process.facts.life, &process.board, cpu_time.map(ms), clock::now());
            self.persisted.ledger.close(process.facts.life);
        }
    }

    /// Sends the metrics to every worker that has requested them; all get the same.
    pub(in crate::master) fn send_metrics(&mut self, pool: &Pool, now: Monotonic) {
        let requests: Vec<(Life, u64)> = self
            .processes
            .values_mut()
            .filter_map(|process| Some((process.facts.life, process.facts.metrics_request.take()?)))
            .collect();
        if requests.is_empty() || self.listeners.admin.is_none() {
            return;
        }
        let metrics = match self.collect(pool, now) {
            Ok(metrics) => metrics,
            Err(error) => return tracing::warn!("failed to collect the metrics: {error}"),
        };
        for (life, request) in requests {
            let Some(process) = self.processes.get(&life) else {
                continue;
            };
            // The worker requests them again for the next scrape.
            if let Err(error) = process.command_with(&Command::Metrics(request), metrics.as_fd()) {
                tracing::debug!(%life, "failed to send the metrics to a worker: {error}");
            }
        }
    }

    fn collect(&mut self, pool: &Pool, now: Monotonic) -> io::Result<OwnedFd> {
        let status = control::status(pool, self, now);
        let cpu = cpu_times(&status);
        for (life, process) in &self.processes {
            let cpu_ms = cpu.get(&(life.slot, life.epoch)).copied();
            self.persisted.ledger.look(*life, &process.board, cpu_ms, now);
        }
        let json = serde_json::to_vec(&self.snapshot(pool, &status, now))?;
        memfd::create_sealed("cluster-metrics", &json, json.len() as u64, true)
    }

    /// The log lines that this process has dropped, its own and those of workers that it was to copy.
    pub(in crate::master) fn log_lines_dropped(&self) -> u64 {
        self.persisted.log_lines_dropped + observe::dropped()
    }

    fn snapshot(&self, pool: &Pool, status: &ClusterStatus, now: Monotonic) -> Snapshot {
        let boards = self.processes.values().map(|process| &process.board);
        let counts: Vec<CounterValues> = boards.map(|board| board.vitals(now).counts).collect();
        let sum = |of: fn(&CounterValues) -> u32| counts.iter().map(|one| u64::from(of(one))).sum();
        let mut totals = self.persisted.ledger.total();
        totals.raise(Counter::LogLinesDropped, self.log_lines_dropped());
        Snapshot {
            totals,
            master: master(status),
            slots: status.slots.iter().map(slot).collect(),
            exits: exits(pool),
            states: states(status),
            connections: sum(|one| one.connections),
            upgraded: sum(|one| one.upgraded),
            streams: sum(|one| one.streams),
            in_flight: sum(|one| one.in_flight),
            draining: status.master.draining as u64,
        }
    }
}

fn cpu_times(status: &ClusterStatus) -> BTreeMap<(Slot, Epoch), u64> {
    let in_slots = status.slots.iter().filter_map(|slot| slot.worker.as_ref());
    let of = |worker: &WorkerReport| Some(((worker.slot, worker.epoch), worker.cpu_ms?));
    in_slots.chain(&status.beside).filter_map(of).collect()
}

fn master(status: &ClusterStatus) -> MasterFacts {
    let master = &status.master;
    MasterFacts {
        generation: u64::from(master.generation.0),
        incarnation: master.incarnation.0,
        uptime_ms: master.uptime_ms,
        rss_bytes: master.rss_bytes,
        cpu_ms: master.cpu_ms,
        fds: master.fds as u64,
    }
}

fn slot(report: &SlotReport) -> SlotFacts {
    let worker = report.worker.as_ref();
    SlotFacts {
        slot: report.slot.0,
        queue: report.queue.map(u64::from),
        weight: f64::from(report.weight.unwrap_or(0)) / f64::from(FULL_SHARE),
        generation: u64::from(report.generation.0),
        beat_age_ms: worker.and_then(|worker| worker.beat_age_ms),
        rss_bytes: worker.and_then(|worker| worker.rss_bytes),
        connections: worker.map_or(0, |worker| u64::from(worker.connections)),
    }
}

/// Every cause is listed, also with 0, so that its first occurrence shows as an increase.
fn exits(pool: &Pool) -> BTreeMap<String, u64> {
    let mut exits: BTreeMap<String, u64> = CauseKind::ALL.map(|cause| (cause.as_str().to_owned(), 0)).into();
    for (cause, many) in pool.endings().flat_map(|(_, endings)| endings) {
        *exits.entry(cause.as_str().to_owned()).or_default() += many;
    }
    exits
}

fn states(status: &ClusterStatus) -> BTreeMap<String, u64> {
    let mut states: BTreeMap<String, u64> = WorkerState::ALL
        .map(|state| (state.as_str().to_owned(), 0))
        .into();
    for slot in &status.slots {
        *states.entry(slot.state.clone()).or_default() += 1;
    }
    states
}
