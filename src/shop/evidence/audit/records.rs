//! Checks `orders.db` by itself: the orders, their events, their keys, and the horizon of retention.
//!
//! An order is created with its key in one transaction, and removed with its event and key in one. So one
//! snapshot is consistent at any moment, also beside a cluster that places and removes orders.

use rusqlite::{Connection, Row};

use super::Findings;
use super::across::RecordedOrder;
use super::goods;
use crate::shop::contract::OrderId;
use crate::shop::recovery::clock::rfc3339;

/// By how many milliseconds two correct clocks may differ at most.
const DAY_MS: u64 = 86_400_000;

impl Findings {
    /// Checks everything in one snapshot.
    pub(super) fn orders(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let snapshot = connection.unchecked_transaction()?;
        let mut orders = snapshot.prepare(
            "SELECT id, status, amount, currency, method, items, coalesce(events, 0), event FROM orders LEFT JOIN
             (SELECT order_id, count(*) AS events, min(event) AS event FROM outbox GROUP BY order_id) ON order_id = id",
        )?;
        let mut rows = orders.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            self.order(row, &mut found)?;
        }
        self.report_capped(found, "orders are not sound by themselves");
        self.outbox(&snapshot)?;
        self.keys(&snapshot)
    }

    /// Checks that an ended order has exactly one terminal event of its kind, that another order has none,
    /// and that its lines add up to its amount.
    fn order(&mut self, row: &Row<'_>, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let (id, status) = (OrderId::from_key(row.get(0)?), row.get(1)?);
        let (events, event): (i64, Option<String>) = (row.get(6)?, row.get(7)?);
        let (count, expected) = match status {
            10 => (&mut self.audit.pending, None),
            11 => (&mut self.audit.parked, None),
            20 => (&mut self.audit.confirmed, Some("order.confirmed")),
            _ => (&mut self.audit.rejected, Some("order.rejected")),
        };
        *count += 1;
        if event.as_deref() != expected || events > 1 {
            found.push(format!(
                "{id} has status {status} and {events} terminal events, of which the first is {event:?}"
            ));
        }
        let terms = self.terms_cache.terms(row, 2)?;
        let items = row.get_ref(5)?.as_str()?;
        let lines = goods::priced(items);
        let cost = lines.as_deref().and_then(goods::cost);
        if cost != Some(terms.amount) {
            found.push(format!(
                "{id} is at {terms}, and its lines do not make that: {items}"
            ));
        }
        let goods = match &lines {
            Some(lines) => {
                goods::fingerprint(lines.iter().map(|(sku, quantity, _)| (sku.as_str(), *quantity)))
            }
            None => goods::unparsable_fingerprint(items),
        };
        let ordered = RecordedOrder { status, terms, goods };
        self.records.orders.insert(id, ordered);
        Ok(())
    }

    /// Checks that the numbers of the events have no gap, and that no event is of an order that does not
    /// exist.
    fn outbox(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        let (most, count): (i64, i64) = snapshot.query_row(
            "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM outbox",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if most != count {
            self.report(format!("the outbox has {count} events under {most} numbers"));
        }
        let unclaimed = snapshot
            .prepare(
                "SELECT seq, event, order_id FROM outbox LEFT JOIN orders ON id = order_id WHERE id IS NULL \
                 ORDER BY seq",
            )?
            .query_map([], |row| {
                let (seq, event): (i64, String) = (row.get(0)?, row.get(1)?);
                let order = OrderId::from_key(row.get(2)?);
                Ok(format!("event {seq} is {event} of {order}, which there is not"))
            })?
            .collect::<rusqlite::Result<_>>()?;
        self.report_capped(unclaimed, "events are of orders that there are not");
        Ok(())
    }

    /// Checks that each key leads to an order and has a hash of the right length.
    fn keys(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        let bad = snapshot
            .prepare(
                "SELECT key, order_id, id IS NULL, length(body_hash) FROM idempotency_keys LEFT JOIN orders ON id = order_id
                 WHERE id IS NULL OR length(body_hash) <> 32 ORDER BY order_id",
            )?
            .query_map([], |row| {
                let (key, order): (String, OrderId) = (row.get(0)?, OrderId::from_key(row.get(1)?));
                let (leads_nowhere, bytes): (bool, i64) = (row.get(2)?, row.get(3)?);
                Ok(if leads_nowhere {
                    format!("the key {key:?} leads to {order}, which there is not")
                } else {
                    format!("the key {key:?} of {order} has a hash of {bytes} bytes, expected 32")
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        self.report_capped(bad, "keys are bad");
        Ok(())
    }

    /// Checks that the horizon of retention is in the past, by the clock or by the newest order.
    pub(super) fn horizon(&mut self, connection: &Connection, now_ms: u64) -> rusqlite::Result<()> {
        let known = "SELECT (SELECT coalesce(max(order_id), 0) FROM horizon),
            (SELECT coalesce(min(id), 0) FROM orders), (SELECT coalesce(max(id), 0) FROM orders)";
        let (horizon, oldest, newest) = connection.query_row(known, [], |row| {
            let order = |column: usize| row.get(column).map(OrderId::from_key);
            Ok((order(0)?, order(1)?, order(2)?))
        })?;
        self.horizon = horizon.key();
        let [ends, is_newest] = [horizon, newest].map(OrderId::created_ms);
        if ends > is_newest.max(now_ms).saturating_add(DAY_MS) {
            // No order that is younger than the oldest remaining one was removed.
            self.horizon = oldest.key();
            self.report(format!(
                "the horizon of retention is {horizon} of {}, expected it behind the clock, or behind the \
                 newest order, {newest} of {}",
                rfc3339(ends),
                rfc3339(is_newest),
            ));
        }
        Ok(())
    }
}
