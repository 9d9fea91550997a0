//! A status as a table: some lines for the master, one row for each slot. Pure.

use std::collections::BTreeMap;

use crate::base::ids::{Epoch, Slot};
use crate::control::{ClusterStatus, LastVerdict, MasterReport, MasterState, SlotReport, WorkerReport};

/// The number of columns.
pub(super) const COLUMNS: usize = 17;

/// The names of the columns.
pub(super) const HEAD: [&str; COLUMNS] = [
    "SLOT", "STATE", "GEN", "EPOCH", "PID", "UP", "CONN", "BUSY", "REQUESTS", "5XX", "RSS", "CPU", "BEAT",
    "QUEUE", "WEIGHT", "ENDED", "LAST END",
];

/// The cells of one row of the table.
pub(super) type Row = [String; COLUMNS];

/// The share of one CPU that each worker used since the last sample, in percent.
pub type CpuShares = BTreeMap<(Slot, Epoch), f64>;

/// The whole status. With `shares`, the CPU column is the share since the last sample; without, the CPU time
/// of the worker.
#[must_use]
pub fn text(status: &ClusterStatus, shares: Option<&CpuShares>) -> String {
    let StatusParts { head, rows, notes } = parts(status, shares);
    let lines = [vec![head, String::new()], aligned(&rows), notes].concat();
    lines.join("\n") + "\n"
}

/// A status before it is laid out.
pub(super) struct StatusParts {
    /// The lines about the master.
    pub(super) head: String,
    /// The names of the columns, then a row for each slot and each worker in no slot.
    pub(super) rows: Vec<Row>,
    /// What stands below the table.
    pub(super) notes: Vec<String>,
}

/// The parts of the status; `shares` as for [`text`].
pub(super) fn parts(status: &ClusterStatus, shares: Option<&CpuShares>) -> StatusParts {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(status.slots.iter().map(|slot| row(slot, shares)));
    rows.extend(status.beside.iter().map(|worker| beside(worker, shares)));
    StatusParts {
        head: format!("{}{}", master(&status.master), held_open(status)),
        rows,
        notes: workers(status).filter_map(note).collect(),
    }
}

fn workers(status: &ClusterStatus) -> impl Iterator<Item = &WorkerReport> {
    let in_slots = status.slots.iter().filter_map(|slot| slot.worker.as_ref());
    in_slots.chain(&status.beside)
}

/// What clients hold open for long: a line where there is any, with the number of each slot.
fn held_open(status: &ClusterStatus) -> String {
    let kind = |name: &str, of: fn(&WorkerReport) -> u32| {
        let of_slot = |worker: &WorkerReport| {
            let many = of(worker);
            (many > 0).then(|| format!("slot {}: {many}", worker.slot))
        };
        let slots: Vec<String> = workers(status).filter_map(of_slot).collect();
        let all: u64 = workers(status).map(|worker| u64::from(of(worker))).sum();
        (all > 0).then(|| format!("{all} {name} ({})", slots.join(", ")))
    };
    let kinds = [
        kind("upgraded connections", |worker| worker.upgraded),
        kind("streams", |worker| worker.streams),
    ];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    match kinds.is_empty() {
        true => String::new(),
        false => format!("\nheld open: {}", kinds.join(", ")),
    }
}

/// What a worker wants people to know, below the table.
fn note(worker: &WorkerReport) -> Option<String> {
    let (_, note) = worker.status.as_ref()?.split_once("; ")?;
    Some(format!("slot {}: {note}", worker.slot))
}

fn master(master: &MasterReport) -> String {
    // A cluster that stops has no addresses.
    let addresses = match master.addresses.join(", ") {
        none if none.is_empty() => none,
        some => format!(" on {some}"),
    };
    let (pid, up) = (master.pid, span(master.uptime_ms));
    let state = match (master.state, master.stops_in_ms) {
        (MasterState::Stopping, Some(left_ms)) => format!("stopping in {}", span(left_ms)),
        (_, _) if master.refuses => "no worker can serve and a stub answers 503".to_owned(),
        (state, _) => state.as_str().to_owned(),
    };
    let (incarnation, generation) = (master.incarnation, master.generation);
    let memory = master
        .rss_bytes
        .map_or_else(String::new, |bytes| format!("{}, ", size(bytes)));
    let (version, since) = (&master.version, span(master.binary_for_ms));
    let written = master
        .binary_written
        .as_ref()
        .map_or_else(String::new, |written| format!(" of {written}"));
    let (program, fds, draining) = (&master.program, master.fds, master.draining);
    let unsteered = match master.unsteered.join(", ") {
        none if none.is_empty() => none,
        some => format!("\nnot steered: {some} (one passed socket each, whose queue all workers share)"),
    };
    format!(
        "{program}{addresses}: {state}, up {up}, generation {generation}, incarnation {incarnation}\n\
         master: pid {pid}, {memory}{fds} descriptors; {draining} workers draining\n\
         binary: version {version}{written}, the master's for {since}{unsteered}{}",
        master
            .last_verdict
            .as_ref()
            .map_or_else(String::new, last_verdict)
    )
}

fn last_verdict(last: &LastVerdict) -> String {
    let (operation, result, ago) = (last.operation.as_str(), last.result.as_str(), span(last.ago_ms));
    let generation = last
        .generation
        .map_or_else(String::new, |generation| format!(" (generation {generation})"));
    let reason = last
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {}", escaped(reason)));
    format!("\nlast {operation}: {result} {ago} ago{generation}{reason}")
}

fn row(slot: &SlotReport, shares: Option<&CpuShares>) -> Row {
    let mut row = slot
        .worker
        .as_ref()
        .map_or_else(|| empty(slot), |worker| filled(worker, shares));
    row[13] = optional(slot.queue);
    row[14] = optional(slot.weight);
    row[15] = slot.restarts.to_string();
    row[16] = slot.last_cause.clone().unwrap_or_default();
    row
}

fn empty(slot: &SlotReport) -> Row {
    let mut row = [const { String::new() }; COLUMNS];
    row[0] = slot.slot.to_string();
    row[1].clone_from(&slot.state);
    row[2] = slot.generation.to_string();
    row[5] = slot
        .filled_in_ms
        .map_or_else(String::new, |ms| format!("in {}", span(ms)));
    row
}

fn filled(worker: &WorkerReport, shares: Option<&CpuShares>) -> Row {
    let cpu = match shares {
        Some(shares) => shares
            .get(&(worker.slot, worker.epoch))
            .map_or_else(String::new, |share| format!("{share:.0}%")),
        None => worker.cpu_ms.map_or_else(String::new, span),
    };
    [
        worker.slot.to_string(),
        worker.state.clone(),
        worker.generation.to_string(),
        worker.epoch.to_string(),
        optional(worker.pid),
        span(worker.uptime_ms),
        worker.connections.to_string(),
        worker.in_flight.to_string(),
        worker.requests.to_string(),
        worker.failed.to_string(),
        worker.rss_bytes.map_or_else(String::new, size),
        cpu,
        worker.beat_age_ms.map_or_else(String::new, span),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]
}

/// A worker in no slot.
fn beside(worker: &WorkerReport, shares: Option<&CpuShares>) -> Row {
    let mut row = filled(worker, shares);
    row[0] = format!("({})", worker.slot);
    row
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The lines of a table: columns as wide as their widest cell, two spaces between them, none at the end of a
/// line.
pub(super) fn aligned<R: AsRef<[C]>, C: AsRef<str>>(rows: &[R]) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        let cells = row.as_ref();
        widths.resize(cells.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.as_ref().chars().count().max(*width);
        }
    }
    let line = |row: &R| {
        let cells = row.as_ref().iter().zip(&widths);
        let cells = cells.map(|(cell, &width)| format!("{:width$}", cell.as_ref()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A reason may quote another program. Its control characters are escaped, so that nothing moves the cursor,
/// and its further lines are indented, so that none looks like a line of this program.
#[must_use]
pub fn escaped(reason: &str) -> String {
    let mut text = String::with_capacity(reason.len());
    for character in reason.trim_end().chars() {
        match character {
            '\n' => text.push_str("\n  "),
            _ if character.is_control() => text.extend(character.escape_default()),
            _ => text.push(character),
        }
    }
    text
}

/// A duration in milliseconds, as about three digits with their unit.
#[must_use]
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A size in bytes, as about three digits with their unit.
#[must_use]
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1 << 20)),
        _ => format!("{} GiB", tenths(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short_and_carry_their_unit() {
        let spans = [0, 999, 1_250, 61_000, 3_700_000, 90_000_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "1.2 s", "1m 1s", "1h 1m", "1d 1h"]);
        let sizes = [5, 2048, 5_767_168, 3 << 30].map(size);
        assert_eq!(sizes, ["5 B", "2 KiB", "5.5 MiB", "3.0 GiB"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let rows = [["a", "bbb", ""], ["aa", "b", "×"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), ["a   bbb", "aa  b    ×"]);
    }
}
