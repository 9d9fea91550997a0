//! The history of one order, read from the four databases without trust in any service: what happened, when,
//! on which worker, under which key, and what comes `next`. Opens the databases read-only and relies on
//! their documented formats alone, so it works beside a running cluster or without one.

mod next;

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::audit;
use crate::shop::contract::{InvalidId, OrderId};
use crate::shop::recovery::clock::rfc3339;
use crate::shop::{inventory, orders, payments, sandbox};
pub use next::NextStep;

/// Everything that is on disk about one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderReport {
    /// `ord_…`
    pub id: String,
    /// The records, ordered by time.
    pub lines: Vec<ReportLine>,
    /// What comes next, and when.
    pub next: NextStep,
}

/// One record on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportLine {
    /// The time of the record, as in `2026-11-22T16:02:36.123Z`.
    pub at: String,
    /// The database that has the record: `orders`, `inventory`, `payments` or `provider`.
    pub book: &'static str,
    /// The record as text.
    pub says: String,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum OrderReportError {
    /// The text is not the id of an order.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A file could not be read.
    #[error("failed to read what is on disk about an order: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

const ORDERS: &str = "
    SELECT ?2, 'placed by customer ' || customer_id || ': ' || items || ', ' || amount || ' ' || currency || ' with ' || method
        || ', saga version ' || version FROM orders WHERE id = ?1
    UNION ALL SELECT at_ms, 'claim ' || claim_no || ': from ' || from_owner || ' by ' || to_owner
        FROM takeovers WHERE order_id = ?1
    UNION ALL SELECT ended_ms, CASE status WHEN 10 THEN 'pending since it was placed' WHEN 11 THEN 'parked' WHEN 20 THEN
        'confirmed' ELSE 'rejected' END || ' (owner ' || owner || ', claim ' || claim_no || ')' || coalesce(': ' || reason, '')
        FROM orders WHERE id = ?1
    UNION ALL SELECT last_ms, step || ' stayed unknown ' || tries || ' times since ' || strftime('%Y-%m-%dT%H:%M:%fZ', first_ms / 1000.0, 'unixepoch')
        || ' (by ' || worker || ', claim ' || claim_no || '), last: ' || says FROM tries WHERE order_id = ?1
    UNION ALL SELECT at_ms, who || ' decided: ' || act || ', because ' || reason FROM interventions WHERE order_id = ?1
    UNION ALL SELECT at_ms, 'event ' || event || ', number ' || seq FROM outbox WHERE order_id = ?1";
const INVENTORY: &str = "
    SELECT reserved_ms, CASE state WHEN 40 THEN 'refused to reserve' WHEN 50 THEN 'released before anything was reserved'
        ELSE 'reserved ' || items END || ' (by ' || reserved_by || ')' || CASE state WHEN 30 THEN '' ELSE coalesce(': ' || reason, '') END
        FROM reservations WHERE order_id = ?1
    UNION ALL SELECT ended_ms, CASE state WHEN 20 THEN 'committed' ELSE 'released' END || ' (by '
        || coalesce(ended_by, reserved_by) || ', claim ' || claim_no || ')' || CASE state WHEN 30 THEN coalesce(': ' || reason, '') ELSE '' END
        FROM reservations WHERE order_id = ?1 AND state IN (20, 30)";
const PAYMENTS: &str = "
    SELECT at_ms, CASE state WHEN 10 THEN 'charged, receipt ' || receipt WHEN 20 THEN 'declined: ' || code ELSE 'cancelled' END
        || ', ' || amount || ' ' || currency || ' (by ' || by || ', claim ' || claim_no || ')'
        FROM payments WHERE order_id = ?1
    UNION ALL SELECT refunded_ms, 'refunded, receipt ' || refund || ' (by ' || refunded_by || ', claim ' || claim_no || ')'
        FROM payments WHERE order_id = ?1 AND refund IS NOT NULL";
/// The provider's time is cut to milliseconds, as all times here.
const LEDGER: &str = "
    SELECT substr(rtrim(at, 'Z') || iif(instr(at, '.'), '', '.') || '000', 1, 23) || 'Z', kind || ' under key ' || provider_key || ': ' || outcome || coalesce(' ' || code, '')
        FROM attempt WHERE order_id = ?1 OR provider_key IN (?1 || '.1', ?1 || '.1.refund')";

/// Reads the report from the databases under `data_dir`.
///
/// # Errors
/// [`OrderReportError`]. The report of an order that does not exist has no lines.
pub fn read(data_dir: &Path, id: &str) -> Result<OrderReport, OrderReportError> {
    let order: OrderId = id.parse()?;
    let mut lines = Vec::new();
    for (file, book, sql) in [
        (orders::FILE, "orders", ORDERS),
        (inventory::FILE, "inventory", INVENTORY),
        (payments::FILE, "payments", PAYMENTS),
    ] {
        let connection = audit::open(&data_dir.join(file))?;
        lines.extend(service(&connection, order, book, sql)?);
    }
    let ledger = audit::open(&data_dir.join(sandbox::FILE))?;
    let mut statement = ledger.prepare(LEDGER)?;
    let attempts = statement.query_map([id], |row| line("provider", row.get(0)?, row))?;
    for attempt in attempts {
        lines.push(attempt?);
    }
    lines.sort_by(|one, other| one.at.cmp(&other.at));
    let records = audit::open(&data_dir.join(orders::FILE))?;
    let next = next::read(data_dir, &records, order)?.unwrap_or_default();
    Ok(OrderReport {
        id: id.to_owned(),
        lines,
        next,
    })
}

fn service(
    connection: &Connection,
    order: OrderId,
    book: &'static str,
    sql: &str,
) -> rusqlite::Result<Vec<ReportLine>> {
    let mut statement = connection.prepare(sql)?;
    let read = |row: &Row<'_>| {
        let at_ms: i64 = row.get(0)?;
        line(book, rfc3339(at_ms.unsigned_abs()), row)
    };
    if book == "orders" {
        statement
            .query_map(params![order.key(), order.created_ms().cast_signed()], read)?
            .collect()
    } else {
        statement.query_map([order.key()], read)?.collect()
    }
}

fn line(book: &'static str, at: String, row: &Row<'_>) -> rusqlite::Result<ReportLine> {
    Ok(ReportLine {
        at,
        book,
        says: row.get(1)?,
    })
}

impl fmt::Display for OrderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.id)?;
        for ReportLine { at, book, says } in &self.lines {
            writeln!(f, "  {at:27}  {book:9}  {says}")?;
        }
        let at = self.next.at.as_deref().unwrap_or("next");
        write!(f, "  {at:27}  next       {}", self.next.says)
    }
}
