//! The statements about adjustments. Each has a row, which also holds its key; `stock.adjusted` is the sum of
//! the rows that are kept, so that a row that is lost is noticed.

use rusqlite::{Connection, OptionalExtension, Row};

use super::articles::{self, NotEdited, count};
use super::outbox;
use crate::shop::contract::Sku;
use crate::shop::inventory::adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
use crate::shop::inventory::articles::{EditCondition, EditError};
use crate::shop::inventory::catalog::MOST_ON_HAND;
use crate::shop::sqlite::{row_count, validated};
use crate::store::Tx;

/// Adjustments that are removed in one transaction at most, so that no order waits long for it.
const FORGOTTEN_AT_ONCE: u32 = 400;

fn adjustment(row: &Row<'_>) -> rusqlite::Result<Adjustment> {
    Ok(Adjustment {
        number: row.get(0)?,
        sku: validated(row, 1)?,
        delta: row.get(2)?,
        reason: row.get(3)?,
        on_hand: count(row, 4)?,
        at_ms: count(row, 5)?,
    })
}

/// Makes the adjustment, unless it was made before under its key.
pub(super) fn adjust(
    tx: &Tx<'_>,
    request: &AdjustmentRequest,
    condition: &EditCondition,
    now_ms: u64,
) -> Result<AdjustOutcome, NotEdited> {
    if let Some(before) = made_before(tx, request)? {
        return Ok(AdjustOutcome::MadeBefore(before));
    }
    let AdjustmentRequest {
        sku,
        delta,
        reason,
        key,
    } = request;
    let known = articles::find(tx, sku)?.ok_or(EditError::NoArticle)?;
    condition.check(Some(&known))?;
    let on_hand = known.adjusted_by(*delta, MOST_ON_HAND)?;
    tx.prepare_cached(
        "UPDATE stock SET on_hand = on_hand + ?2, received = received + ?2, adjusted = adjusted + ?2,
             changed_ms = ?3 WHERE sku = ?1",
    )?
    .execute((sku.as_str(), delta, now_ms.cast_signed()))?;
    tx.prepare_cached(
        "INSERT INTO adjustments (sku, delta, reason, on_hand, at_ms, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        sku.as_str(),
        delta,
        reason,
        on_hand.cast_signed(),
        now_ms.cast_signed(),
        key,
    ))?;
    let number = tx.last_insert_rowid();
    outbox::announce(tx, sku, now_ms)?;
    Ok(AdjustOutcome::Made(Adjustment {
        number,
        sku: sku.clone(),
        delta: *delta,
        reason: reason.clone(),
        on_hand,
        at_ms: now_ms,
    }))
}

fn made_before(tx: &Connection, request: &AdjustmentRequest) -> Result<Option<Adjustment>, NotEdited> {
    let known = tx
        .prepare_cached("SELECT number, sku, delta, reason, on_hand, at_ms FROM adjustments WHERE key = ?1")?
        .query_row([&request.key], adjustment)
        .optional()?;
    match known {
        Some(known) if !request.is_same_as(&known) => Err(NotEdited::from(EditError::KeyReused)),
        known => Ok(known),
    }
}

/// At most `limit` adjustments of an article before that number, the latest first.
pub(super) fn list(
    connection: &Connection,
    sku: &Sku,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Adjustment>> {
    connection
        .prepare_cached(
            "SELECT number, sku, delta, reason, on_hand, at_ms FROM adjustments
             WHERE sku = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3",
        )?
        .query_map((sku.as_str(), before, row_count(limit)), adjustment)?
        .collect()
}

/// Removes some adjustments that were made before that time, with their keys. The latest one stays, so that
/// no number is given out twice.
pub(super) fn forget(tx: &Connection, before_ms: u64) -> rusqlite::Result<()> {
    let old: Vec<(i64, String, i64)> = tx
        .prepare_cached(
            "SELECT number, sku, delta FROM adjustments
             WHERE number < (SELECT max(number) FROM adjustments) AND at_ms < ?1 ORDER BY number LIMIT ?2",
        )?
        .query_map((before_ms.cast_signed(), FORGOTTEN_AT_ONCE), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (number, sku, delta) in old {
        tx.prepare_cached("DELETE FROM adjustments WHERE number = ?1")?
            .execute([number])?;
        tx.prepare_cached("UPDATE stock SET adjusted = adjusted - ?2 WHERE sku = ?1")?
            .execute((sku, delta))?;
    }
    Ok(())
}
