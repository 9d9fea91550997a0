//! The invariants of the shop, read from its four files by one who trusts no service: what tests, torture and doctor share.
//! Opens the files read-only and by their documented formats alone.

mod across;
mod alone;
mod open;

use std::path::Path;

use rusqlite::Connection;

use self::across::{Books, Ordered, Reserved, fingerprint, fingerprint_and_cost};
pub(crate) use self::open::{attach, open, open_any};
use super::clock::{now_ms, rfc3339};
use super::contract::OrderId;
use super::{inventory, orders, payments, sandbox};

/// When it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is under way: every file knows exactly what the others know.
    Rest,
    /// While orders are placed: each file by itself, and what the others must know of the orders that have ended.
    Any,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Each broken invariant, in words.
    pub violations: Vec<String>,
    /// Orders that stand.
    pub confirmed: usize,
    /// Orders that do not.
    pub rejected: usize,
    /// Orders whose saga is under way.
    pub pending: usize,
    /// Orders whose saga stands still.
    pub parked: usize,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {file} for the audit: {reason}")]
pub struct AuditError {
    file: &'static str,
    #[source]
    reason: rusqlite::Error,
}

/// Clocks differ, and are set by so much when summer begins on a machine that keeps local time.
const A_CLOCK_OFF_MS: u64 = 24 * 3_600_000;

type Rows<T> = rusqlite::Result<Vec<T>>;

/// Checks the files under `data_dir`.
///
/// # Errors
/// [`AuditError`] when a file cannot be read.
pub fn check_invariants(data_dir: &Path, moment: Moment) -> Result<Audit, AuditError> {
    let read = |file, check: &dyn Fn(&Connection) -> rusqlite::Result<()>| {
        open(&data_dir.join(file))
            .and_then(|connection| check(&connection))
            .map_err(|reason| AuditError { file, reason })
    };
    let findings = std::cell::RefCell::new(Findings::default());
    // First, and the horizon last: what has ended by now is in the other files by then, unless it is older than that.
    read(orders::FILE, &|connection| {
        findings.borrow_mut().orders(connection)
    })?;
    read(inventory::FILE, &|connection| {
        findings.borrow_mut().inventory(connection)
    })?;
    read(payments::FILE, &|connection| {
        findings.borrow_mut().payments(connection)
    })?;
    read(sandbox::FILE, &|connection| {
        findings.borrow_mut().ledger(connection)
    })?;
    read(orders::FILE, &|connection| {
        let mut findings = findings.borrow_mut();
        findings.horizon(connection)?;
        findings.claims(connection, data_dir)
    })?;
    let mut findings = findings.into_inner();
    findings.across_the_files(moment);
    Ok(findings.audit)
}

#[derive(Default)]
struct Findings {
    audit: Audit,
    books: Books,
    /// Orders before it may be removed from one file already and not from another.
    horizon: i64,
}

impl Findings {
    fn broken(&mut self, what: String) {
        self.audit.violations.push(what);
    }

    fn horizon(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let known = "SELECT coalesce(max(order_id), 0) FROM horizon";
        self.horizon = connection.query_row(known, [], |row| row.get(0))?;
        let (horizon, latest) = (OrderId::from_key(self.horizon), now_ms());
        if horizon.created_ms() > latest.saturating_add(A_CLOCK_OFF_MS) {
            self.broken(format!(
                "what was removed is said to reach up to {horizon}, of {}, which is still to come: until then nobody can see that an \
                 order is missing",
                rfc3339(horizon.created_ms())
            ));
        }
        Ok(())
    }

    /// Stock adds up per SKU, and what is reserved is what is held.
    fn inventory(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let snapshot = connection.unchecked_transaction()?;
        let rows: Rows<(String, i64, i64, i64, i64, i64)> = snapshot
            .prepare(
                "WITH lines AS MATERIALIZED (
                    SELECT item.value ->> 0 AS sku,
                           sum(iif(state = 10, item.value ->> 1, 0)) AS held,
                           sum(iif(state = 20, item.value ->> 1, 0)) AS committed
                    FROM reservations, json_each(items) AS item WHERE state IN (10, 20) GROUP BY 1)
                 SELECT sku, on_hand, reserved, received, coalesce(held, 0), coalesce(committed, 0)
                 FROM stock LEFT JOIN lines USING (sku)",
            )?
            .query_map([], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            })?
            .collect();
        for (sku, on_hand, reserved, received, held, committed) in rows? {
            if on_hand < 0 || reserved < 0 || reserved > on_hand {
                self.broken(format!("stock of {sku}: {on_hand} on hand, {reserved} reserved"));
            }
            if received != on_hand + committed {
                self.broken(format!(
                    "stock of {sku}: {received} came in, {on_hand} are there and {committed} went out"
                ));
            }
            if reserved != held {
                self.broken(format!(
                    "stock of {sku}: {reserved} reserved, {held} held for orders"
                ));
            }
        }
        alone::inventory(&snapshot, &mut self.audit.violations)?;
        let mut reserved =
            snapshot.prepare("SELECT order_id, state, items FROM reservations WHERE state IN (10, 20)")?;
        let mut rows = reserved.query([])?;
        while let Some(row) = rows.next()? {
            let (state, goods) = (row.get(1)?, fingerprint(row.get_ref(2)?.as_str()?));
            let order = OrderId::from_key(row.get(0)?);
            self.books.goods.insert(order, Reserved { state, goods });
        }
        Ok(())
    }

    /// Exactly one terminal event per ended order, of its kind; none for others; no gap.
    fn orders(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let snapshot = connection.unchecked_transaction()?;
        let mut orders = snapshot
            .prepare(
                "SELECT id, status, amount, items, coalesce(events, 0), event FROM orders LEFT JOIN
                 (SELECT order_id, count(*) AS events, min(event) AS event FROM outbox GROUP BY order_id) ON order_id = id",
            )?;
        let mut rows = orders.query([])?;
        while let Some(row) = rows.next()? {
            let id = OrderId::from_key(row.get(0)?);
            let (goods, cost) = fingerprint_and_cost(row.get_ref(3)?.as_str()?);
            let ordered = Ordered {
                status: row.get(1)?,
                total: row.get(2)?,
                goods,
            };
            alone::adds_up(id, cost, ordered.total, &mut self.audit.violations);
            let event: Option<String> = row.get(5)?;
            self.order(id, ordered, row.get(4)?, event.as_deref());
        }
        let (most, count): (i64, i64) = snapshot.query_row(
            "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM outbox",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if most != count {
            self.broken(format!("the outbox has {count} events under {most} numbers"));
        }
        alone::orders(&snapshot, &mut self.audit.violations)
    }

    fn order(&mut self, id: OrderId, ordered: Ordered, events: i64, event: Option<&str>) {
        let status = ordered.status;
        let (count, expected) = match status {
            10 => (&mut self.audit.pending, None),
            11 => (&mut self.audit.parked, None),
            20 => (&mut self.audit.confirmed, Some("order.confirmed")),
            _ => (&mut self.audit.rejected, Some("order.rejected")),
        };
        *count += 1;
        if event != expected || events > 1 {
            self.broken(format!(
                "{id} has status {status} and {events} terminal events, of which the first is {event:?}"
            ));
        }
        self.books.orders.insert(id, ordered);
    }

    fn payments(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let rows: Rows<(i64, i64)> = connection
            .prepare("SELECT order_id, amount FROM payments WHERE state = 10 AND refund IS NULL")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect();
        self.books.paid = rows?
            .into_iter()
            .map(|(id, amount)| (OrderId::from_key(id), amount))
            .collect();
        Ok(())
    }

    /// At most one charge per order, by the provider's own book.
    fn ledger(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let rows: Rows<(String, i64)> = connection
            .prepare("SELECT order_id, amount FROM standing_charge")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect();
        for (order, amount) in rows? {
            match order.parse::<OrderId>() {
                Ok(order) => self.books.standing.entry(order).or_default().push(amount),
                Err(error) => self.broken(format!("a charge stands for {error}")),
            }
        }
        let twice: Vec<OrderId> = self
            .books
            .standing
            .iter()
            .filter(|(_, charges)| charges.len() > 1)
            .map(|(id, _)| *id)
            .collect();
        for order in twice {
            self.broken(format!("{order} was charged more than once"));
        }
        Ok(())
    }

    /// Nobody wrote for a saga after it was claimed from him.
    fn claims(&mut self, connection: &Connection, data_dir: &Path) -> rusqlite::Result<()> {
        for (file, name) in [
            (inventory::FILE, "inventory"),
            (payments::FILE, "payments"),
            (sandbox::FILE, "sandbox"),
        ] {
            attach(connection, &data_dir.join(file), name)?;
        }
        alone::money(connection, &mut self.audit.violations)?;
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
            self.broken(format!(
                "{id}: {by} wrote {what} after the saga was claimed from it"
            ));
        }
        Ok(())
    }

    fn across_the_files(&mut self, moment: Moment) {
        if moment == Moment::Rest && self.audit.pending > 0 {
            self.broken(format!("{} orders never ended", self.audit.pending));
        }
        let books = std::mem::take(&mut self.books);
        let found = books.disagreements(OrderId::from_key(self.horizon), moment);
        self.audit.violations.extend(found);
    }
}
