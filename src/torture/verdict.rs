//! The verdict: the shop's audit of its four databases, the clients' log compared with the orders, the stock
//! compared with the log.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::chaos::FaultCounts;
use super::client_log::{AnsweredOrder, ClientLog, Ending};
use super::disk::SmallDisk;
use super::evidence::{self, TakeoverLatency};
use super::options::TortureOptions;
use super::workload::Workload;
use super::workspace;
use crate::base::exit::Exit;
use crate::shop::contract::StorageError;
use crate::shop::evidence::audit::{self, Moment};
use crate::shop::evidence::order_report;
use crate::worker::print_error;

/// How many orders are reported with their history.
const MOST_STORIES: usize = 3;

/// The result of a torture run.
#[derive(Debug, Serialize)]
pub(super) struct TortureVerdict {
    passed: bool,
    orders: usize,
    confirmed: usize,
    declined: usize,
    sold_out: usize,
    given_up: usize,
    parked: usize,
    asked_again: u64,
    /// How many orders ended over gRPC, and were then asked for over HTTP.
    over_grpc: u64,
    /// How many changes of articles stand.
    edits: u64,
    takeovers: u64,
    /// How long after the last fault the last order ended, in milliseconds.
    last_end_ms: Option<u64>,
    takeover_ms: Option<TakeoverLatency>,
    faults: FaultCounts,
    violations: Vec<String>,
    /// What was tried too rarely to prove anything.
    shortfalls: Vec<String>,
    stories: Vec<String>,
    directory: String,
}

/// Reaches the verdict, after the cluster has stopped.
pub(super) fn reach(
    options: &TortureOptions,
    workspace: &Path,
    disk: Option<&SmallDisk>,
    workload: &Workload,
    log: &ClientLog,
    (faults, last_fault): (FaultCounts, u64),
    wrong: Vec<String>,
) -> TortureVerdict {
    let data = workspace.join(workspace::DATA);
    let entries = log.entries();
    let mut violations = log.complaints();
    violations.extend(wrong);
    match audit::check_invariants(&data, Moment::Rest) {
        Ok(audit) => violations.extend(audit.violations),
        Err(error) => violations.push(error.to_string()),
    }
    let looked = evidence::against_the_files(&data, workload, &entries, &log.adjustments())
        .map_err(StorageError::from);
    let (takeovers, takeover_ms) =
        match looked.and_then(|found| Ok((found, evidence::latency(&data, &faults)?))) {
            Ok(((found, takeovers), latency)) => {
                violations.extend(found);
                (takeovers, latency)
            }
            Err(error) => {
                violations.push(format!("failed to read the databases: {error}"));
                (0, None)
            }
        };
    let count = |is: fn(&Ending) -> bool| entries.iter().filter(|entry| is(&entry.ending)).count();
    let mut shortfalls = faults.shortfalls(options, disk.is_some());
    shortfalls.extend(too_few(options, entries.len()));
    TortureVerdict {
        passed: violations.is_empty() && shortfalls.is_empty(),
        orders: entries.len(),
        confirmed: count(|ending| *ending == Ending::Confirmed),
        declined: count(|ending| *ending == Ending::Declined),
        sold_out: count(|ending| *ending == Ending::SoldOut),
        given_up: count(|ending| matches!(ending, Ending::Rejected(_))),
        parked: count(|ending| *ending == Ending::Parked),
        asked_again: entries.iter().map(|entry| u64::from(entry.tries - 1)).sum(),
        over_grpc: log.over_grpc(),
        edits: log.edits(),
        takeovers,
        last_end_ms: evidence::last_end(&data).map(|ended| ended.saturating_sub(last_fault)),
        takeover_ms,
        faults,
        stories: stories(&data, &violations, &entries),
        violations,
        shortfalls,
        directory: workspace.display().to_string(),
    }
}

/// Whether fewer orders ended than on the slowest machine: one for each client, and one every two seconds.
fn too_few(options: &TortureOptions, orders: usize) -> Option<String> {
    let expected = u64::from(options.clients).max(options.secs / 2);
    let found = u64::try_from(orders).unwrap_or(u64::MAX);
    (found < expected)
        .then(|| format!("{orders} orders came to an end for their clients, expected {expected} at least"))
}

/// The histories of the first orders that a violation names.
fn stories(data: &Path, violations: &[String], entries: &[AnsweredOrder]) -> Vec<String> {
    let named: BTreeSet<&str> = violations.iter().flat_map(|text| ids(text)).collect();
    let story = |id: &&str| {
        let client = entries.iter().find(|entry| entry.id == *id).map_or_else(
            || "no client was told of it".to_owned(),
            |entry| {
                format!(
                    "key {}, asked {} times, {:?}, answered {} {}",
                    entry.planned.key, entry.tries, entry.ending, entry.answer.0, entry.answer.1
                )
            },
        );
        let told =
            order_report::read(data, id).map_or_else(|error| error.to_string(), |report| report.to_string());
        format!("client: {client}\n{told}")
    };
    named.iter().take(MOST_STORIES).map(story).collect()
}

fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("ord_")
        .filter_map(|(at, _)| text.get(at..at + 17))
}

impl TortureVerdict {
    pub(super) fn exit(&self) -> Exit {
        if self.passed { Exit::Stopped } else { Exit::Failed }
    }

    pub(super) fn print(&self, json: bool) -> String {
        if json {
            return serde_json::to_string_pretty(self).unwrap_or_default();
        }
        let faults = &self.faults;
        let mut text = format!(
            "{}: {} orders ({} confirmed, {} declined, {} sold out, {} given up, {} parked), asked again {} times, {} over gRPC, {} edits of the stock, {} takeovers\n\
             faults: {} kills, {} stops, {} reloads, {} master kills, {} outages, {} full disks, \
             {} cuts at a COMMIT, \
             {} restarts of the server\n",
            if self.passed { "passed" } else { "FAILED" },
            self.orders,
            self.confirmed,
            self.declined,
            self.sold_out,
            self.given_up,
            self.parked,
            self.asked_again,
            self.over_grpc,
            self.edits,
            self.takeovers,
            faults.kills,
            faults.stops,
            faults.reloads,
            faults.master_kills,
            faults.outages,
            faults.full_disks,
            faults.cuts,
            faults.restarts,
        );
        if let Some(ended) = self.last_end_ms {
            text.push_str(&format!("the last order ended {ended} ms after the last fault\n"));
        }
        if let Some(latency) = self.takeover_ms {
            text.push_str(&format!(
                "takeover, from the kill to the saga's next durable step: {} sagas, p50 {} ms, p99 {} ms, \
                 longest {} ms\n",
                latency.sagas, latency.p50, latency.p99, latency.longest
            ));
        }
        for violation in &self.violations {
            text.push_str(&format!("violated: {violation}\n"));
        }
        for shortfall in &self.shortfalls {
            text.push_str(&format!("too little was tried: {shortfall}\n"));
        }
        for story in &self.stories {
            text.push_str(&format!("\n{story}"));
        }
        if !self.passed {
            text.push_str(&format!("everything is kept in {}", self.directory));
        }
        text.trim_end().to_owned()
    }

    /// Removes the directory, unless it was asked for or is needed to find a fault.
    pub(super) fn tidy(&self, options: &TortureOptions, workspace: &Path, disk: Option<&SmallDisk>) {
        if self.passed && !options.keep && options.dir.is_none() {
            if let Some(disk) = disk {
                disk.unmount();
            }
            // Files that remain do no harm in a temporary directory.
            drop(std::fs::remove_dir_all(workspace));
        } else if let Some(disk) = disk
            && let Err(error) = disk.rescue(&workspace.join(workspace::RESCUED))
        {
            print_error(&format!(
                "torture: the databases could not be copied from the small disk: {error}"
            ));
        }
    }
}
