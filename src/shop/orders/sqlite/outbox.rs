//! The statements about the events of orders: one terminal event per order, written with the change it tells
//! of, and complete in itself, so that it can be kept shorter or be read longer than its order.

use rusqlite::{Connection, Row};

use super::row;
use crate::base::money::{Currency, Money};
use crate::shop::contract::{CustomerId, EventData, EventKind, EventsAfter, OrderId, StoredEvent};
use crate::shop::orders::domain::OrderStatus;
use crate::shop::orders::repository::StoredReason;
use crate::shop::sqlite::{event_streams, invalid, validated};
use crate::store::Tx;

const CONFIRMED: &str = "order.confirmed";
const REJECTED: &str = "order.rejected";

/// Writes the terminal event of an order that has just ended.
pub(super) fn announce(
    tx: &Tx<'_>,
    order: OrderId,
    status: OrderStatus,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let event = match status {
        OrderStatus::Confirmed => CONFIRMED,
        OrderStatus::Rejected => REJECTED,
        OrderStatus::Pending | OrderStatus::Parked => return Ok(()),
    };
    tx.prepare_cached(
        "INSERT INTO outbox
         (order_id, event, at_ms, customer_id, items, amount, currency, reason, request_id,
          traceparent)
         SELECT id, ?2, ?3, customer_id, items, amount, currency, reason, request_id, traceparent
         FROM orders WHERE id = ?1",
    )?
    .execute((order.key(), event, now_ms.cast_signed()))?;
    tx.signal_after_commit();
    Ok(())
}

/// The events behind a number, the earliest first. What a program of an older version wrote has its content
/// in the order alone.
const BEHIND: &str = "SELECT seq, event, at_ms, order_id, coalesce(o.traceparent, orders.traceparent),
       coalesce(o.customer_id, orders.customer_id), coalesce(o.items, orders.items),
       coalesce(o.amount, orders.amount), coalesce(o.currency, orders.currency),
       coalesce(o.reason, orders.reason), coalesce(o.request_id, orders.request_id)
    FROM outbox AS o LEFT JOIN orders ON o.customer_id IS NULL AND orders.id = o.order_id
    WHERE seq > ?1 AND coalesce(o.customer_id, orders.customer_id) IS NOT NULL
    ORDER BY seq LIMIT ?2";

/// The events behind that number.
pub(super) fn after(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<EventsAfter> {
    event_streams::after(connection, (after, limit), BEHIND, event)
}

fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let currency: Currency = validated(row, 8)?;
    let kind = match row.get_ref(1)?.as_str()? {
        CONFIRMED => EventKind::OrderConfirmed,
        _ => EventKind::OrderRejected,
    };
    Ok(StoredEvent {
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        kind,
        at_ms: row.get::<_, i64>(2)?.unsigned_abs(),
        request_id: row.get::<_, Option<String>>(10)?.map(Into::into),
        traceparent: row.get::<_, Option<String>>(4)?.map(Into::into),
        data: EventData::Order {
            order: OrderId::from_key(row.get(3)?),
            customer: validated::<CustomerId>(row, 5)?,
            total: Money {
                amount: row.get::<_, i64>(7)?.unsigned_abs(),
                currency,
            },
            lines: row::lines(row, 6, currency)?,
            reason: reason(row, 9)?,
        },
    })
}

fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<&'static str>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    let reason = serde_json::from_str(&text).map_err(|error| invalid(column, error))?;
    Ok(match reason {
        StoredReason::Rejected(rejection) => Some(rejection.word()),
        StoredReason::Parked(_) => None,
    })
}
