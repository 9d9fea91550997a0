//! The verdict: the shop's audit of its four files, the clients' book against the orders, the shelf against the book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use super::book::{Book, Ending, Entry};
use super::chaos::Tally;
use super::disk::Disk;
use super::options::Options;
use super::rig;
use super::workload::Workload;
use crate::base::exit::Exit;
use crate::shop::audit::{self, Moment};
use crate::shop::dossier;
use crate::shop::takeovers::{self, Takeover};

/// More stories than these would bury the first.
const MOST_STORIES: usize = 3;

/// What came out of it.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    passed: bool,
    orders: usize,
    confirmed: usize,
    declined: usize,
    sold_out: usize,
    given_up: usize,
    parked: usize,
    asked_again: u64,
    takeovers: u64,
    takeover_ms: Option<Latency>,
    faults: Tally,
    violations: Vec<String>,
    stories: Vec<String>,
    directory: String,
}

/// From the kill of an owner to the next durable step of each of its sagas by another worker, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Latency {
    sagas: usize,
    p50: u64,
    p99: u64,
    longest: u64,
}

/// Looks at everything, after the cluster has stopped.
pub(super) fn reach(
    rig: &Path,
    workload: &Workload,
    book: &Book,
    faults: Tally,
    lost: Vec<String>,
    endings: [Option<String>; 2],
) -> Verdict {
    let data = rig.join(rig::DATA);
    let entries = book.entries();
    let mut violations = book.complaints();
    violations.extend(endings.into_iter().flatten());
    violations.extend(lost);
    match audit::check_invariants(&data, Moment::Rest) {
        Ok(audit) => violations.extend(audit.violations),
        Err(error) => violations.push(error.to_string()),
    }
    let looked = against_the_files(&data, workload, &entries);
    let (takeovers, takeover_ms) = match looked.and_then(|found| Ok((found, latency(&data, &faults)?))) {
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
    Verdict {
        passed: violations.is_empty(),
        orders: entries.len(),
        confirmed: count(|ending| *ending == Ending::Confirmed),
        declined: count(|ending| *ending == Ending::Declined),
        sold_out: count(|ending| *ending == Ending::SoldOut),
        given_up: count(|ending| matches!(ending, Ending::Rejected(_))),
        parked: count(|ending| *ending == Ending::Parked),
        asked_again: entries.iter().map(|entry| u64::from(entry.tries - 1)).sum(),
        takeovers,
        takeover_ms,
        faults,
        stories: stories(&data, &violations, &entries),
        violations,
        directory: rig.display().to_string(),
    }
}

/// What the services' own books say beside the clients'; and how often a saga was taken over.
fn against_the_files(
    data: &Path,
    workload: &Workload,
    entries: &[Entry],
) -> rusqlite::Result<(Vec<String>, u64)> {
    let mut found = Vec::new();
    let orders = audit::open(&data.join("orders.db"))?;
    let inventory = audit::open(&data.join("inventory.db"))?;
    shelf(&inventory, workload, entries, &mut found)?;
    one_order_per_key(&orders, entries, &mut found)?;
    let takeovers: i64 = orders.query_row("SELECT count(*) FROM takeovers", [], |row| row.get(0))?;
    unexplained(&orders, &mut found)?;
    Ok((found, takeovers.unsigned_abs()))
}

/// Nothing stands still without a reason.
fn unexplained(orders: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let ids: Vec<i64> = orders
        .prepare("SELECT id FROM orders WHERE status = 11 AND coalesce(reason, '') = ''")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let ids = ids.into_iter().map(crate::shop::contract::OrderId::from_key);
    found.extend(ids.map(|id| format!("{id} is parked without a reason")));
    Ok(())
}

/// What the clients were promised is what left the shelf, article by article.
fn shelf(
    inventory: &Connection,
    workload: &Workload,
    entries: &[Entry],
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut promised: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.ending == Ending::Confirmed) {
        for (sku, quantity) in &entry.wish.items {
            *promised.entry(sku).or_default() += quantity;
        }
    }
    let parked = entries.iter().any(|entry| entry.ending == Ending::Parked);
    for (sku, initial) in workload.shelf() {
        let on_hand: i64 =
            inventory.query_row("SELECT on_hand FROM stock WHERE sku = ?1", [&sku], |row| {
                row.get(0)
            })?;
        let sold = promised.get(sku.as_str()).copied().unwrap_or_default();
        if initial != on_hand.unsigned_abs() + sold && !parked {
            found.push(format!(
                "{sku}: {initial} at the start, {sold} promised to clients, {on_hand} left"
            ));
        }
    }
    Ok(())
}

/// No order exists that no client knows, and no key has two.
fn one_order_per_key(
    orders: &Connection,
    entries: &[Entry],
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries {
        if let Some(other) = known.insert(&entry.id, &entry.wish.key) {
            found.push(format!(
                "{} was given to {other} and to {}",
                entry.id, entry.wish.key
            ));
        }
    }
    let ids: Vec<i64> = orders
        .prepare("SELECT id FROM orders")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let strangers = ids
        .into_iter()
        .map(|id| crate::shop::contract::OrderId::from_key(id).to_string())
        .filter(|id| !known.contains_key(id.as_str()));
    found.extend(strangers.map(|id| format!("{id} is an order that no client was told of")));
    Ok(())
}

/// Only of workers that were killed alone: without a master nobody tells a sibling.
fn latency(data: &Path, faults: &Tally) -> rusqlite::Result<Option<Latency>> {
    let took = |takeover: Takeover| {
        let kill = faults.killed.get(&takeover.from)?;
        Some(takeover.next_step_ms?.saturating_sub(*kill))
    };
    let mut took: Vec<u64> = takeovers::read(data)?.into_iter().filter_map(took).collect();
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    Ok(match (at(50), at(99), took.last()) {
        (Some(&p50), Some(&p99), Some(&longest)) => Some(Latency {
            sagas: took.len(),
            p50,
            p99,
            longest,
        }),
        _ => None,
    })
}

/// The stories of the first orders that a violation names.
fn stories(data: &Path, violations: &[String], entries: &[Entry]) -> Vec<String> {
    let named: BTreeSet<&str> = violations.iter().flat_map(|text| ids(text)).collect();
    let story = |id: &&str| {
        let client = entries.iter().find(|entry| entry.id == *id).map_or_else(
            || "no client was told of it".to_owned(),
            |entry| {
                format!(
                    "key {}, asked {} times, {:?}, answered {} {}",
                    entry.wish.key, entry.tries, entry.ending, entry.answer.0, entry.answer.1
                )
            },
        );
        let told =
            dossier::read(data, id).map_or_else(|error| error.to_string(), |dossier| dossier.to_string());
        format!("client: {client}\n{told}")
    };
    named.iter().take(MOST_STORIES).map(story).collect()
}

fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("ord_")
        .filter_map(|(at, _)| text.get(at..at + 17))
}

impl Verdict {
    pub(super) fn exit(&self) -> Exit {
        if self.passed { Exit::Stopped } else { Exit::Failed }
    }

    pub(super) fn print(&self, json: bool) -> String {
        if json {
            return serde_json::to_string_pretty(self).unwrap_or_default();
        }
        let faults = &self.faults;
        let mut text = format!(
            "{}: {} orders ({} confirmed, {} declined, {} sold out, {} given up, {} parked), asked again {} times, {} takeovers\n\
             faults: {} kills, {} stops, {} reloads, {} master kills, {} outages, {} full disks\n",
            if self.passed { "passed" } else { "FAILED" },
            self.orders,
            self.confirmed,
            self.declined,
            self.sold_out,
            self.given_up,
            self.parked,
            self.asked_again,
            self.takeovers,
            faults.kills,
            faults.stops,
            faults.reloads,
            faults.master_kills,
            faults.outages,
            faults.full_disks,
        );
        if let Some(latency) = self.takeover_ms {
            text.push_str(&format!(
                "takeover, from the kill to the saga's next durable step: {} sagas, p50 {} ms, p99 {} ms, longest {} ms\n",
                latency.sagas, latency.p50, latency.p99, latency.longest
            ));
        }
        for violation in &self.violations {
            text.push_str(&format!("violated: {violation}\n"));
        }
        for story in &self.stories {
            text.push_str(&format!("\n{story}"));
        }
        if !self.passed {
            text.push_str(&format!("everything is kept in {}", self.directory));
        }
        text.trim_end().to_owned()
    }

    /// Removes the directory, unless somebody will want to look at it.
    pub(super) fn tidy(&self, options: &Options, rig: &Path, disk: Option<&Disk>) {
        if self.passed && !options.keep && options.dir.is_none() {
            if let Some(disk) = disk {
                disk.unmount();
            }
            // What is left of it does no harm in a temporary directory.
            drop(std::fs::remove_dir_all(rig));
        } else if let Some(disk) = disk
            && let Err(error) = disk.rescue(&rig.join(rig::RESCUED))
        {
            eprintln!("torture: the databases could not be copied from the small disk: {error}");
        }
    }
}
