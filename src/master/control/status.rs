//! The state of the cluster at this moment, from the pool, the workers' scoreboards, `/proc` and the
//! listeners' queues. Nothing is collected in advance, so a status costs nothing until it is requested.

use super::causes;
use crate::base::ids::Slot;
use crate::base::millis::ms;
use crate::base::time::Monotonic;
use crate::control::{ClusterStatus, MasterReport, MasterState, SlotReport, WorkerReport};
use crate::master::host::Host;
use crate::pool::Pool;
use crate::pool::status::{SlotStatus, WorkerStatus};
use crate::sys::{process_tree, procfs};

/// The state of the whole cluster.
pub(in crate::master) fn status(pool: &Pool, host: &Host, now: Monotonic) -> ClusterStatus {
    let beside = pool.replacement().into_iter().chain(pool.leaving());
    ClusterStatus {
        master: master(pool, host, now),
        slots: pool
            .slots()
            .map(|status| slot(&status, pool, host, now))
            .collect(),
        beside: beside.map(|status| worker(&status, host, now)).collect(),
    }
}

fn master(pool: &Pool, host: &Host, now: Monotonic) -> MasterReport {
    let pid = std::process::id();
    let own = i32::try_from(pid).unwrap_or_default();
    MasterReport {
        program: host.launch.program.to_owned(),
        pid,
        uptime_ms: ms(now.since(host.persisted.began)),
        version: host.build.version.to_owned(),
        binary_written: host.build.modified.clone(),
        binary_for_ms: ms(now.since(host.build.since)),
        upgrades: host.persisted.upgrades,
        state: state(pool),
        incarnation: host.incarnation,
        generation: pool.generation(),
        addresses: host
            .listeners
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect(),
        unsteered: host.listeners.unsteered().map(ToString::to_string).collect(),
        rss_bytes: procfs::resident_bytes(own),
        cpu_ms: procfs::stat(own).ok().map(|stat| ms(stat.cpu_time())),
        fds: procfs::open_descriptors(),
        draining: pool.leaving().count(),
        refuses: pool.refuses(),
        stops_in_ms: pool.stops_at().map(|at| ms(at.since(now))),
        last_verdict: host.persisted.last_verdict.as_ref().map(|last| last.report(now)),
    }
}

fn state(pool: &Pool) -> MasterState {
    let is_stopping = pool.is_stopping() || pool.stops_at().is_some();
    match (is_stopping, pool.is_reloading(), pool.is_upgrading()) {
        (true, _, _) => MasterState::Stopping,
        (false, true, _) => MasterState::Reloading,
        (false, false, true) => MasterState::Upgrading,
        (false, false, false) => MasterState::Running,
    }
}

fn slot(status: &SlotStatus<'_>, pool: &Pool, host: &Host, now: Monotonic) -> SlotReport {
    SlotReport {
        slot: status.slot,
        state: status.state.as_str().to_owned(),
        generation: status
            .worker
            .as_ref()
            .map_or(status.generation, |worker| worker.generation),
        worker: status.worker.as_ref().map(|status| worker(status, host, now)),
        restarts: status.restarts,
        last_cause: pool.certificates(status.slot).last().map(|last| {
            let seen = host.persisted.postmortems.of(last.life);
            causes::cause(last, seen.map(|seen| seen.memory))
        }),
        queue: host.listeners.queue_of(status.slot),
        weight: weight(host, status.slot),
        filled_in_ms: status.filled_at.map(|at| ms(at.since(now))),
    }
}

fn weight(host: &Host, slot: Slot) -> Option<u16> {
    host.persisted
        .weights
        .iter()
        .find(|(weighed, _)| *weighed == slot)
        .map(|&(_, weight)| weight)
}

fn worker(status: &WorkerStatus<'_>, host: &Host, now: Monotonic) -> WorkerReport {
    let process = host.processes.get(&status.life);
    let vitals = process.map(|process| process.board.vitals(now));
    let counts = vitals.as_ref().map(|vitals| vitals.counts).unwrap_or_default();
    let pid = process.map(|process| process.facts.pid);
    WorkerReport {
        slot: status.life.slot,
        epoch: status.life.epoch,
        generation: status.generation,
        pid,
        state: status.state.as_str().to_owned(),
        uptime_ms: ms(now.since(status.started)),
        connections: counts.connections,
        upgraded: counts.upgraded,
        streams: counts.streams,
        in_flight: counts.in_flight,
        requests: counts.requests,
        failed: counts.responses[4],
        rss_bytes: pid.and_then(process_tree::resident_bytes),
        cpu_ms: pid.and_then(process_tree::cpu_time).map(ms),
        beat_age_ms: vitals.and_then(|vitals| Some(ms(now.since(vitals.beat?)))),
        status: status.status.map(str::to_owned),
    }
}
