//! Checks `orders.db` by itself: the orders, their events, their keys, and the horizon of retention.
//!
//! An order is created with its key in one transaction, ended with its event in one, and removed with its key
//! in one. So one
//! snapshot is consistent at any moment, also beside a cluster that places and removes orders.

use super::Findings;
use super::across::RecordedOrder;
use super::goods;
use crate::shop::contract::StorageError;
use crate::shop::orders::records::{AuditedOrder, BadKey, ForeignEvent, OrdersAudit, RetentionRange};
use crate::shop::orders::{OrderStatus, OrdersReader};
use crate::shop::recovery::clock::rfc3339;

/// By how many milliseconds two correct clocks may differ at most.
const DAY_MS: u64 = 86_400_000;

impl Findings {
    /// Checks everything in one snapshot.
    pub(super) async fn orders(&mut self, orders: &OrdersReader) -> Result<(), StorageError> {
        let mut found = Vec::new();
        let audit = orders.audit(|order| self.order(&order, &mut found)).await?;
        self.report_capped(found, "orders are not sound by themselves");
        self.outbox(&audit);
        self.keys(audit.bad_keys);
        Ok(())
    }

    /// Checks that an ended order has exactly one terminal event of its kind, unless events of that time are
    /// no longer kept, that another order has none, and that its lines add up to its amount.
    fn order(&mut self, order: &AuditedOrder<'_>, found: &mut Vec<String>) {
        let AuditedOrder {
            id, status, items, ..
        } = *order;
        let (count, expected) = match status {
            OrderStatus::Pending => (&mut self.audit.pending, None),
            OrderStatus::Parked => (&mut self.audit.parked, None),
            OrderStatus::Confirmed => (&mut self.audit.confirmed, Some("order.confirmed")),
            OrderStatus::Rejected => (&mut self.audit.rejected, Some("order.rejected")),
        };
        *count += 1;
        let is_removed = order.events == 0 && order.may_lack_event;
        if (order.first_event != expected && !is_removed) || order.events > 1 {
            found.push(format!(
                "{id} is {} and has {} terminal events, of which the first is {:?}",
                status.word(),
                order.events,
                order.first_event
            ));
        }
        let terms = self.terms_cache.of(order.amount, order.currency, order.method);
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
        let recorded = RecordedOrder { status, terms, goods };
        self.records.orders.insert(id, recorded);
    }

    /// Checks that the numbers of the events have no gap, and that no event is of an order that does not
    /// exist.
    fn outbox(&mut self, audit: &OrdersAudit) {
        let OrdersAudit {
            events,
            event_numbers,
            ..
        } = audit;
        if event_numbers != events {
            self.report(format!(
                "the outbox has {events} events under {event_numbers} numbers"
            ));
        }
        let foreign = |ForeignEvent { seq, event, order }: &ForeignEvent| {
            format!("event {seq} is {event} of {order}, which there is not")
        };
        let foreign = audit.foreign_events.iter().map(foreign).collect();
        self.report_capped(foreign, "events are of orders that there are not");
    }

    /// Reports keys that lead to no order, and keys whose hash has a wrong length.
    fn keys(&mut self, bad_keys: Vec<BadKey>) {
        let bad = |bad: BadKey| {
            let BadKey { key, order, .. } = bad;
            if bad.is_foreign {
                format!("the key {key:?} leads to {order}, which there is not")
            } else {
                let bytes = bad.hash_bytes;
                format!("the key {key:?} of {order} has a hash of {bytes} bytes, expected 32")
            }
        };
        self.report_capped(bad_keys.into_iter().map(bad).collect(), "keys are bad");
    }

    /// Checks that the horizon of retention is in the past, by the clock or by the newest order.
    pub(super) fn horizon(&mut self, range: RetentionRange, now_ms: u64) {
        let RetentionRange {
            horizon,
            oldest,
            newest,
        } = range;
        self.horizon = horizon;
        let (ends, is_newest) = (horizon.created_ms(), newest.created_ms());
        if ends > is_newest.max(now_ms).saturating_add(DAY_MS) {
            // No order that is younger than the oldest remaining one was removed.
            self.horizon = oldest;
            self.report(format!(
                "the horizon of retention is {horizon} of {}, expected it behind the clock, or behind the \
                 newest order, {newest} of {}",
                rfc3339(ends),
                rfc3339(is_newest),
            ));
        }
    }
}
