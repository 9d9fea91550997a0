//! Rows of the inventory's tables as domain types.

use crate::shop::contract::{
    ArticleFacts, EventData, EventKind, ServiceName, StorageError, StoredEvent, TimelineEntry,
};
use crate::shop::inventory::adjustments::Adjustment;
use crate::shop::inventory::articles::Article;
use crate::shop::inventory::reservation::ReservationState;
use crate::shop::postgres::Columns;

/// The columns that [`article`] reads, in its order.
macro_rules! article_columns {
    () => {
        "sku, name, amount, currency, on_hand, reserved, on_sale, changed_ms"
    };
}
pub(super) use article_columns;

/// An article.
pub(super) fn article(row: Columns<'_>) -> Result<Article, StorageError> {
    Ok(Article {
        sku: row.validated(0)?,
        name: row.get(1)?,
        unit_price: row.money(2)?,
        on_hand: row.count(4)?,
        reserved: row.count(5)?,
        on_sale: row.get(6)?,
        changed_ms: Some(row.count(7)?).filter(|changed_ms| *changed_ms > 0),
    })
}

/// An adjustment.
pub(super) fn adjustment(row: Columns<'_>) -> Result<Adjustment, StorageError> {
    Ok(Adjustment {
        number: row.get(0)?,
        sku: row.validated(1)?,
        delta: row.get(2)?,
        reason: row.get(3)?,
        on_hand: row.count(4)?,
        at_ms: row.count(5)?,
    })
}

/// The state in a column.
pub(super) fn state(row: Columns<'_>, column: usize) -> Result<ReservationState, StorageError> {
    let number: i16 = row.get(column)?;
    Ok(match number {
        10 => ReservationState::Held,
        20 => ReservationState::Committed,
        30 => ReservationState::Released,
        40 => ReservationState::Refused,
        50 => ReservationState::Tombstone,
        _ => {
            let reason = format!("a reservation has state {number}, which there is not");
            return Err(StorageError::Failed(reason));
        }
    })
}

/// What inventory did for an order: `state, reserved_ms, reserved_by, changed_ms, changed_by, reason`.
pub(super) fn timeline(row: Columns<'_>) -> Result<Vec<TimelineEntry>, StorageError> {
    let entry = |step, outcome, column: usize, detail| {
        Ok::<_, StorageError>(TimelineEntry {
            at_ms: row.count(column)?,
            service: ServiceName::Inventory,
            step,
            outcome,
            worker: row.life(column + 1)?,
            detail,
            request_id: None,
        })
    };
    let reserved = || entry("reserve", "done", 1, None);
    Ok(match state(row, 0)? {
        ReservationState::Held => vec![reserved()?],
        ReservationState::Committed => vec![reserved()?, entry("commit", "done", 3, None)?],
        ReservationState::Released => vec![reserved()?, entry("release", "done", 3, row.get(5)?)?],
        ReservationState::Refused => vec![entry("reserve", "refused", 1, row.get(5)?)?],
        ReservationState::Tombstone => {
            vec![entry(
                "release",
                "done",
                1,
                Some("nothing was reserved".to_owned()),
            )?]
        }
    })
}

/// The events behind a number and up to another.
pub(super) const EVENTS: &str =
    "SELECT number, at_ms, sku, name, amount, currency, on_hand, on_sale FROM outbox
    WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3";

/// A row of [`EVENTS`].
pub(super) fn event(row: Columns<'_>) -> Result<StoredEvent, StorageError> {
    Ok(StoredEvent {
        seq: row.count(0)?,
        kind: EventKind::ArticleChanged,
        at_ms: row.count(1)?,
        request_id: None,
        traceparent: None,
        data: EventData::Article(ArticleFacts {
            sku: row.validated(2)?,
            name: row.get(3)?,
            unit_price: row.money(4)?,
            on_hand: row.count(6)?,
            on_sale: row.get(7)?,
        }),
    })
}
