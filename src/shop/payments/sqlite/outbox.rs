//! The statements about the events of payments: one when a payment is decided, one more when it is refunded.

use rusqlite::{Connection, Error, Row};

use super::schema::{CANCELLED, DECLINED, REFUNDED, SUCCEEDED};
use crate::base::money::Money;
use crate::shop::contract::{EventData, EventKind, EventsAfter, OrderId, PaymentId, StoredEvent};
use crate::shop::sqlite::{event_streams, validated};
use crate::store::Tx;

/// Writes that the order's payment came to this state just now.
pub(super) fn announce(
    tx: &Tx<'_>,
    order: OrderId,
    state: i64,
    amount: Money,
    now_ms: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO outbox (order_id, state, at_ms, amount, currency) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        order.key(),
        state,
        now_ms.cast_signed(),
        amount.amount.cast_signed(),
        amount.currency.as_str(),
    ))?;
    tx.signal_after_commit();
    Ok(())
}

/// The events behind a number, the earliest first.
const BEHIND: &str = "SELECT seq, state, at_ms, order_id, amount, currency FROM outbox
    WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The events behind that number.
pub(super) fn after(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<EventsAfter> {
    event_streams::after(connection, (after, limit), BEHIND, event)
}

fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let kind = match row.get(1)? {
        SUCCEEDED => EventKind::PaymentCharged,
        DECLINED => EventKind::PaymentDeclined,
        CANCELLED => EventKind::PaymentCancelled,
        REFUNDED => EventKind::PaymentRefunded,
        other => return Err(Error::IntegralValueOutOfRange(1, other)),
    };
    Ok(StoredEvent {
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        kind,
        at_ms: row.get::<_, i64>(2)?.unsigned_abs(),
        request_id: None,
        traceparent: None,
        data: EventData::Payment {
            payment: PaymentId(OrderId::from_key(row.get(3)?)),
            amount: Money {
                amount: row.get::<_, i64>(4)?.unsigned_abs(),
                currency: validated(row, 5)?,
            },
        },
    })
}
