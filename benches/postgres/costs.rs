//! What an order costs: counted by the server, by its kernel, and by the clocks of the processes.

use std::process::Command;

use crate::database::PostgresServer;
use crate::procfs;

/// What has been counted so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// The end of the WAL, in bytes.
    wal_end: u64,
    /// How often the WAL was synced.
    wal_syncs: u64,
    /// Segments with data that the server got from its clients.
    requests: u64,
    /// CPU of the server's processes, in clock ticks.
    server_ticks: u64,
    /// CPU of the clients' processes.
    our_ticks: u64,
}

/// For each order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Costs {
    /// Transactions that wrote something; none are known where the engine is not PostgreSQL.
    pub(crate) commits: Option<f64>,
    /// What clients sent, waiting for an answer.
    pub(crate) round_trips: Option<f64>,
    /// How often the WAL was synced.
    pub(crate) wal_syncs: Option<f64>,
    /// What was added to the WAL, in bytes.
    pub(crate) wal_bytes: Option<f64>,
    /// CPU of the server.
    pub(crate) server_ms: Option<f64>,
    /// CPU of whoever is measured.
    pub(crate) our_ms: f64,
}

const TICK_MS: f64 = 10.0;
/// Places in `stat` of the times of children that have ended and were waited for.
const ENDED_USER: usize = 13;
const ENDED_SYSTEM: usize = 14;

impl Counters {
    /// As of now. The CPU of the processes that are measured is known to the caller.
    pub(crate) fn of(server: &PostgresServer, our_ticks: u64) -> Result<Counters, String> {
        Ok(Counters {
            wal_end: server.number("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")?,
            wal_syncs: server.number("SELECT wal_sync FROM pg_stat_wal")?,
            requests: requests(server.port())?,
            server_ticks: server_ticks(server.postmaster())?,
            our_ticks,
        })
    }

    /// What so many orders cost since then. The syncs are missing: sessions tell of theirs when they end.
    pub(crate) fn since(
        &self,
        before: &Counters,
        server: &PostgresServer,
        orders: f64,
    ) -> Result<Costs, String> {
        let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / orders;
        Ok(Costs {
            commits: Some(server.commits(before.wal_end, self.wal_end)? as f64 / orders),
            round_trips: Some(each(self.requests, before.requests)),
            wal_syncs: None,
            wal_bytes: Some(each(self.wal_end, before.wal_end)),
            server_ms: Some(each(self.server_ticks, before.server_ticks) * TICK_MS),
            our_ms: each(self.our_ticks, before.our_ticks) * TICK_MS,
        })
    }
}

impl Costs {
    /// Where nothing but CPU is counted.
    pub(crate) fn of_ours_alone(ticks: u64, orders: f64) -> Costs {
        Costs {
            our_ms: ticks as f64 * TICK_MS / orders,
            ..Costs::default()
        }
    }

    /// With the syncs of a whole turn.
    pub(crate) fn with_syncs(self, before: &Counters, after: &Counters, orders: f64) -> Costs {
        let syncs = after.wal_syncs.saturating_sub(before.wal_syncs);
        Costs {
            wal_syncs: Some(syncs as f64 / orders),
            ..self
        }
    }
}

/// Whether there is an `ss` to ask.
pub(crate) fn find_ss() -> Result<(), String> {
    requests(1).map(drop)
}

/// CPU of the children of this process that have ended and were waited for, in clock ticks.
pub(crate) fn ticks_of_ended_children() -> Result<u64, String> {
    ticks_of_ended(std::process::id())
}

fn ticks_of_ended(parent: u32) -> Result<u64, String> {
    Ok(procfs::stat_number(parent, ENDED_USER)? + procfs::stat_number(parent, ENDED_SYSTEM)?)
}

/// CPU of the server: of the processes that it has, and of those that it had.
fn server_ticks(postmaster: u32) -> Result<u64, String> {
    let children = procfs::children(postmaster)?.into_iter();
    // One that ends meanwhile is missing in both; sessions last longer than a load.
    let living: u64 = children.filter_map(|pid| procfs::cpu_ticks(pid).ok()).sum();
    Ok(living + procfs::cpu_ticks(postmaster)? + ticks_of_ended(postmaster)?)
}

/// What the kernel counted at the server's ends of the connections that are open.
fn requests(port: u16) -> Result<u64, String> {
    let output = Command::new("ss")
        .args(["-tinH", "state", "established", &format!("( sport = :{port} )")])
        .output()
        .map_err(|error| format!("ss: {error}; install it (apt-get install iproute2)"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counts = text
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("data_segs_in:"));
    Ok(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
}
