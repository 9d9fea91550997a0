//! Compares the databases of the services with the clients' log: stock, answers, keys and takeovers.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::chaos::FaultCounts;
use super::client_log::{AnsweredOrder, Ending};
use super::workload::{CURRENCY, PRICE, Workload};
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::evidence::takeovers::{self, Takeover};
use crate::shop::sqlite::read_only;

/// The time from the kill of an owner to the next durable step of each of its sagas by another worker, in
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TakeoverLatency {
    pub(super) sagas: usize,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) longest: u64,
}

/// Compares the databases with the log. Returns the violations and the number of takeovers.
pub(super) fn against_the_files(
    data: &Path,
    workload: &Workload,
    entries: &[AnsweredOrder],
    adjusted: &BTreeMap<String, i64>,
) -> rusqlite::Result<(Vec<String>, u64)> {
    let mut found = Vec::new();
    let orders = read_only::open(&data.join("orders.db"))?;
    let inventory = read_only::open(&data.join("inventory.db"))?;
    check_stock(&inventory, workload, (entries, adjusted), &mut found)?;
    check_keys(&orders, entries, &mut found)?;
    let takeovers: i64 = orders.query_row("SELECT count(*) FROM takeovers", [], |row| row.get(0))?;
    check_answers(&orders, entries, &mut found)?;
    check_parked(&orders, &mut found)?;
    Ok((found, takeovers.unsigned_abs()))
}

/// An order in the database.
#[derive(Debug, PartialEq, Eq)]
struct StoredOrder {
    status: i64,
    customer: String,
    items: Vec<(String, u64, u64)>,
    total: u64,
    currency: String,
    key: Option<String>,
}

impl StoredOrder {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, StoredOrder)> {
        let items: String = row.get(3)?;
        let stands = StoredOrder {
            status: row.get(1)?,
            customer: row.get(2)?,
            // Lines that cannot be parsed differ from every answer.
            items: serde_json::from_str(&items).unwrap_or_default(),
            total: row.get::<_, i64>(4)?.unsigned_abs(),
            currency: row.get(5)?,
            key: row.get(6)?,
        };
        Ok((OrderId::from_key(row.get(0)?).to_string(), stands))
    }

    /// How the order differs from what its client ordered and was told; `None` when it does not.
    fn differs(&self, entry: &AnsweredOrder) -> Option<String> {
        let planned = &entry.planned;
        let promised = match entry.ending {
            Ending::Confirmed => 20,
            Ending::Declined | Ending::SoldOut | Ending::Rejected(_) => 30,
            Ending::Parked => self.status,
        };
        let items = self
            .items
            .iter()
            .map(|(sku, quantity, price)| (sku, *quantity, *price));
        let wished = planned
            .items
            .iter()
            .map(|(sku, quantity)| (sku, *quantity, PRICE));
        if self.status != promised {
            Some(format!("has status {}, expected {promised}", self.status))
        } else if self.customer != planned.customer {
            Some(format!("is of {}, expected {}", self.customer, planned.customer))
        } else if !items.eq(wished) {
            let (found, wished) = (&self.items, &planned.items);
            Some(format!("is of {found:?}, expected {wished:?} at {PRICE} each"))
        } else if self.total != planned.total()
            || entry.answered_total().is_some_and(|told| told != self.total)
        {
            let (total, told) = (self.total, entry.answered_total());
            Some(format!(
                "costs {total}, expected {} (told: {told:?})",
                planned.total()
            ))
        } else if self.currency != CURRENCY {
            Some(format!("is in {}, expected {CURRENCY}", self.currency))
        } else if self.key.as_ref() != Some(&planned.key) {
            Some(format!(
                "is under the key {:?}, expected {}",
                self.key, planned.key
            ))
        } else {
            None
        }
    }
}

/// Checks that every order is what its client was told, and that the client's key leads to it.
fn check_answers(
    orders: &Connection,
    entries: &[AnsweredOrder],
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let orders: BTreeMap<String, StoredOrder> = orders
        .prepare(
            "SELECT id, status, customer_id, items, amount, currency, key
             FROM orders LEFT JOIN idempotency_keys ON order_id = id",
        )?
        .query_map([], StoredOrder::read)?
        .collect::<rusqlite::Result<_>>()?;
    for entry in entries {
        let differs = match orders.get(&entry.id) {
            Some(stands) => stands.differs(entry),
            None => Some("is not there".to_owned()),
        };
        if let Some(differs) = differs {
            let (id, answer) = (&entry.id, entry.answer.0);
            found.push(format!("{id} was answered {answer}; in the file it {differs}"));
        }
    }
    Ok(())
}

/// Checks that every parked order has a reason.
fn check_parked(orders: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let ids: Vec<i64> = orders
        .prepare("SELECT id FROM orders WHERE status = 11 AND coalesce(reason, '') = ''")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let ids = ids.into_iter().map(OrderId::from_key);
    found.extend(ids.map(|id| format!("{id} is parked without a reason")));
    Ok(())
}

/// Whether the goods of a parked order were sold. The answer to the client said neither.
fn was_sold(inventory: &Connection, id: &str) -> rusqlite::Result<bool> {
    let Ok(order) = id.parse::<OrderId>() else {
        return Ok(false);
    };
    inventory
        .prepare_cached("SELECT 1 FROM reservations WHERE order_id = ?1 AND state = 20")?
        .exists([order.key()])
}

/// Checks for each article that the quantity sold is the one promised to clients, except for parked orders,
/// and that editors have changed its count by what they were told.
fn check_stock(
    inventory: &Connection,
    workload: &Workload,
    (entries, adjusted): (&[AnsweredOrder], &BTreeMap<String, i64>),
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut promised: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries {
        let left = match entry.ending {
            Ending::Confirmed => true,
            Ending::Declined | Ending::SoldOut | Ending::Rejected(_) => false,
            Ending::Parked => was_sold(inventory, &entry.id)?,
        };
        for (sku, quantity) in entry.planned.items.iter().filter(|_| left) {
            *promised.entry(sku).or_default() += quantity;
        }
    }
    for (sku, initial) in workload.initial_stock() {
        let on_hand: Option<i64> = inventory
            .query_row("SELECT on_hand FROM stock WHERE sku = ?1", [&sku], |row| {
                row.get(0)
            })
            .optional()?;
        let Some(on_hand) = on_hand else {
            found.push(format!(
                "{sku}: {initial} at the start, and there is no such article any more"
            ));
            continue;
        };
        let sold = promised.get(sku.as_str()).copied().unwrap_or_default();
        let adjusted = adjusted.get(&sku).copied().unwrap_or_default();
        if i128::from(initial) + i128::from(adjusted) != i128::from(on_hand) + i128::from(sold) {
            found.push(format!(
                "{sku}: {initial} at the start, {adjusted} by editors, {sold} promised to clients, \
                 {on_hand} left"
            ));
        }
    }
    Ok(())
}

/// Checks that every order is known to a client, and that no key has two orders.
fn check_keys(
    orders: &Connection,
    entries: &[AnsweredOrder],
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries {
        if let Some(other) = known.insert(&entry.id, &entry.planned.key) {
            found.push(format!(
                "{} was given to {other} and to {}",
                entry.id, entry.planned.key
            ));
        }
    }
    let ids: Vec<i64> = orders
        .prepare("SELECT id FROM orders")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let strangers = ids
        .into_iter()
        .map(|id| OrderId::from_key(id).to_string())
        .filter(|id| !known.contains_key(id.as_str()));
    found.extend(strangers.map(|id| format!("{id} is an order that no client was told of")));
    Ok(())
}

/// When the last order ended, in milliseconds since 1970.
pub(super) fn last_end(data: &Path) -> Option<u64> {
    let orders = read_only::open(&data.join("orders.db")).ok()?;
    let last = "SELECT max(changed_ms) FROM orders WHERE status >= 20";
    let last: Option<i64> = orders.query_row(last, [], |row| row.get(0)).ok()?;
    last.map(i64::unsigned_abs)
}

/// The latency of takeovers from workers that were killed alone. Without a master nobody announces the death.
pub(super) fn latency(data: &Path, faults: &FaultCounts) -> Result<Option<TakeoverLatency>, StorageError> {
    let took = |takeover: Takeover| {
        let kill = faults.killed.get(&takeover.from.to_string())?;
        Some(takeover.next_step_ms?.saturating_sub(*kill))
    };
    let mut took: Vec<u64> = takeovers::read(data)?.into_iter().filter_map(took).collect();
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    Ok(match (at(50), at(99), took.last()) {
        (Some(&p50), Some(&p99), Some(&longest)) => Some(TakeoverLatency {
            sagas: took.len(),
            p50,
            p99,
            longest,
        }),
        _ => None,
    })
}
