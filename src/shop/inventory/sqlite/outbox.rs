//! The statements about the events of articles. What orders do to the stock is no event of its own: their own
//! events tell of it.

use rusqlite::{Connection, Row};

use crate::base::money::Money;
use crate::shop::contract::{ArticleFacts, EventData, EventKind, EventsAfter, Sku, StoredEvent};
use crate::shop::sqlite::{event_streams, validated};
use crate::store::Tx;

/// Writes that somebody has just created the article, or changed it or its count.
pub(super) fn announce(tx: &Tx<'_>, sku: &Sku, now_ms: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO outbox (at_ms, sku, name, amount, currency, on_hand, on_sale)
         SELECT ?2, sku, name, amount, currency, on_hand, on_sale FROM stock WHERE sku = ?1",
    )?
    .execute((sku.as_str(), now_ms.cast_signed()))?;
    tx.signal_after_commit();
    Ok(())
}

/// The events behind a number, the earliest first.
const BEHIND: &str = "SELECT seq, at_ms, sku, name, amount, currency, on_hand, on_sale FROM outbox
    WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The events behind that number.
pub(super) fn after(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<EventsAfter> {
    event_streams::after(connection, (after, limit), BEHIND, event)
}

fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        kind: EventKind::ArticleChanged,
        at_ms: row.get::<_, i64>(1)?.unsigned_abs(),
        request_id: None,
        traceparent: None,
        data: EventData::Article(ArticleFacts {
            sku: validated(row, 2)?,
            name: row.get(3)?,
            unit_price: Money {
                amount: row.get::<_, i64>(4)?.unsigned_abs(),
                currency: validated(row, 5)?,
            },
            on_hand: row.get::<_, i64>(6)?.unsigned_abs(),
            on_sale: row.get(7)?,
        }),
    })
}
