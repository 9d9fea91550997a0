//! The invariants of the shop, checked in its four databases without trust in any service. Tests, torture and
//! doctor share this audit. It opens the databases read-only and relies on their documented formats alone.

mod across;
mod goods;
mod open;
mod records;
mod shelf;
mod terms;
#[cfg(test)]
mod tests;

use std::path::Path;

use rusqlite::Connection;

use self::across::{RecordedPayment, Records, StandingCharge};
use self::open::KNOWN;
pub(crate) use self::open::{attach, open, open_any};
use self::terms::TermsCache;
use crate::shop::contract::OrderId;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::Schema;

/// How many violations of one kind are reported; more would hide the other kinds.
const MAX_PER_KIND: usize = 100;

/// The state of the cluster while the audit reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is under way: all files must agree exactly.
    Rest,
    /// Orders are being placed: each file is checked by itself, and the files must agree about orders that
    /// have ended.
    Any,
}

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Each broken invariant as text.
    pub violations: Vec<String>,
    /// Number of confirmed orders.
    pub confirmed: usize,
    /// Number of rejected orders.
    pub rejected: usize,
    /// Number of orders whose saga is under way.
    pub pending: usize,
    /// Number of parked orders.
    pub parked: usize,
}

/// Why the audit could not be done.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {file} for the audit: {reason}")]
pub struct AuditError {
    file: &'static str,
    #[source]
    reason: rusqlite::Error,
}

type Rows<T> = rusqlite::Result<Vec<T>>;

/// Checks the databases under `data_dir`. Reads each from beginning to end, once.
///
/// # Errors
/// [`AuditError`] when a file cannot be read.
pub fn check_invariants(data_dir: &Path, moment: Moment) -> Result<Audit, AuditError> {
    let mut findings = Findings::default();
    for (file, schema) in KNOWN {
        read(data_dir, file, |connection| {
            findings.structure(schema, connection)
        })?;
    }
    let is_whole = findings.audit.violations.is_empty();
    match findings.read_all(data_dir) {
        Ok(()) => findings.across_the_files(moment),
        Err(error) if is_whole => return Err(error),
        // The read failed because of a violation that was reported.
        Err(error) => findings.report(format!("{error}; nothing else could be looked at")),
    }
    Ok(findings.audit)
}

fn read(
    data_dir: &Path,
    file: &'static str,
    check: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), AuditError> {
    open(&data_dir.join(file))
        .and_then(|connection| check(&connection))
        .map_err(|reason| AuditError { file, reason })
}

#[derive(Default)]
struct Findings {
    audit: Audit,
    records: Records,
    terms_cache: TermsCache,
    /// Orders before this key may have been removed from one file and not yet from another.
    horizon: i64,
}

impl Findings {
    fn read_all(&mut self, data_dir: &Path) -> Result<(), AuditError> {
        // Orders are read first and the horizon last: an order that has ended now is in the other files when
        // they are read, unless it lies before the horizon.
        read(data_dir, orders::FILE, |connection| self.orders(connection))?;
        read(data_dir, inventory::FILE, |connection| self.inventory(connection))?;
        read(data_dir, payments::FILE, |connection| self.payments(connection))?;
        read(data_dir, sandbox::FILE, |connection| self.ledger(connection))?;
        read(data_dir, orders::FILE, |connection| {
            self.horizon(connection, SteadyClock::open(data_dir).now_ms())?;
            self.claims(connection, data_dir)
        })
    }

    fn report(&mut self, what: String) {
        self.audit.violations.push(what);
    }

    /// Adds violations of one kind, at most [`MAX_PER_KIND`], and the number of those that were left out.
    fn report_capped(&mut self, mut found: Vec<String>, kind: &str) {
        if found.len() > MAX_PER_KIND {
            let more = found.split_off(MAX_PER_KIND).len();
            found.push(format!("and {more} more {kind}"));
        }
        self.audit.violations.append(&mut found);
    }

    /// Checks that everything which the migrations made exists. Nothing else notices a lost index or trigger.
    fn structure(&mut self, schema: &Schema, connection: &Connection) -> rusqlite::Result<()> {
        for lost in schema.lost_from(connection)? {
            let file = schema.name;
            self.report(format!("{file}.db lacks {lost}, which its schema version has"));
        }
        Ok(())
    }

    /// Reads the payment of each order.
    fn payments(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut payments = connection.prepare(
            "SELECT order_id, amount, currency, method, state = 10 AND refund IS NULL, receipt FROM payments",
        )?;
        let mut rows = payments.query([])?;
        while let Some(row) = rows.next()? {
            let booked = RecordedPayment {
                terms: self.terms_cache.terms(row, 1)?,
                stands: row.get(4)?,
                receipt: row.get(5)?,
            };
            self.records.booked.insert(OrderId::from_key(row.get(0)?), booked);
        }
        Ok(())
    }

    /// Reads the standing charges in the provider's ledger, and checks that no order has more than one.
    fn ledger(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        // The provider names a charge after its provider key.
        let mut charges = connection.prepare(
            "SELECT coalesce(order_id, ''), coalesce(amount, 0), coalesce(currency, ''), coalesce(method, ''), 'ch_' || provider_key
             FROM standing_charge",
        )?;
        let mut rows = charges.query([])?;
        while let Some(row) = rows.next()? {
            let charge = StandingCharge {
                terms: self.terms_cache.terms(row, 1)?,
                receipt: row.get(4)?,
            };
            match row.get_ref(0)?.as_str()?.parse::<OrderId>() {
                Ok(order) => self.records.standing.entry(order).or_default().push(charge),
                Err(error) => self.report(format!("a charge stands for {error}")),
            }
        }
        let twice = self
            .records
            .standing
            .iter()
            .filter(|(_, charges)| charges.len() > 1);
        let twice = twice.map(|(order, _)| format!("{order} was charged more than once"));
        self.report_capped(twice.collect(), "were charged more than once");
        Ok(())
    }

    /// Checks that no worker wrote for a saga after it was claimed from that worker.
    fn claims(&mut self, connection: &Connection, data_dir: &Path) -> rusqlite::Result<()> {
        for (file, name) in [(inventory::FILE, "inventory"), (payments::FILE, "payments")] {
            attach(connection, &data_dir.join(file), name)?;
        }
        let late: Rows<(i64, String, String)> = connection
            .prepare(
                "WITH written AS (
                    SELECT order_id, reserved_by AS by, reserved_ms AS at_ms, 'a reservation' AS what
                        FROM inventory.reservations
                    UNION ALL SELECT order_id, coalesce(ended_by, reserved_by), ended_ms, 'the end of a reservation'
                        FROM inventory.reservations WHERE state IN (20, 30)
                    UNION ALL SELECT order_id, by, at_ms, 'a payment' FROM payments.payments)
                 SELECT written.order_id, by, what FROM written JOIN takeovers USING (order_id)
                 WHERE by = from_owner AND written.at_ms > takeovers.at_ms",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect();
        for (id, by, what) in late? {
            let id = OrderId::from_key(id);
            self.report(format!(
                "{id}: {by} wrote {what} after the saga was claimed from it"
            ));
        }
        Ok(())
    }

    fn across_the_files(&mut self, moment: Moment) {
        if moment == Moment::Rest && self.audit.pending > 0 {
            self.report(format!("{} orders never ended", self.audit.pending));
        }
        let records = std::mem::take(&mut self.records);
        let found = records.disagreements(OrderId::from_key(self.horizon), moment);
        self.audit.violations.extend(found);
    }
}
