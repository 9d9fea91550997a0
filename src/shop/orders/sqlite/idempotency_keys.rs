//! The statements about idempotency keys.

use rusqlite::{Connection, OptionalExtension};

use crate::shop::contract::OrderId;
use crate::shop::orders::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};

/// So many of the oldest keys are looked at in one transaction. Keys that lie behind more old keys than that,
/// which must be kept, go with their orders.
const LOOKED_AT: u32 = 256;

/// What the key stands for, unless it stands for nothing or has expired.
pub(super) fn find(
    connection: &Connection,
    key: &IdempotencyKey,
    retention: &KeyRetention,
) -> rusqlite::Result<Option<KeyMatch>> {
    let known = connection
        .prepare_cached("SELECT order_id, body_hash FROM idempotency_keys WHERE key = ?1")?
        .query_row([&*key.text], |row| {
            Ok((OrderId::from_key(row.get(0)?), row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    let Some((order, hash)) = known else {
        return Ok(None);
    };
    if has_expired(connection, order, retention)? {
        return Ok(None);
    }
    Ok(Some(if hash == key.hash {
        KeyMatch::SameRequest(order)
    } else {
        KeyMatch::OtherRequest
    }))
}

/// An order that has not ended keeps its key, however old it is: a client that asks again must not place, and
/// pay for, a second order. The period of retention begins when the order ends.
fn has_expired(connection: &Connection, order: OrderId, retention: &KeyRetention) -> rusqlite::Result<bool> {
    if order >= retention.horizon() {
        return Ok(false);
    }
    // Rare, and final: the worker that placed the order may have known of a step of the clock that this
    // process has not heard of.
    let horizon = retention.shared_horizon();
    let is_kept = connection
        .prepare_cached(
            "SELECT 1 FROM unfinished_orders WHERE id = ?1
             UNION ALL SELECT 1 FROM ended_orders WHERE id = ?1 AND changed_ms >= ?2",
        )?
        .exists((order.key(), horizon.created_ms().cast_signed()))?;
    Ok(order < horizon && !is_kept)
}

/// Binds the key, which [`find`] did not find, to the order; a key that has expired is bound anew.
pub(super) fn bind(tx: &Connection, key: &IdempotencyKey, order: OrderId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM idempotency_keys WHERE key = ?1")?
        .execute([&*key.text])?;
    tx.prepare_cached("INSERT INTO idempotency_keys (order_id, key, body_hash) VALUES (?1, ?2, ?3)")?
        .execute((order.key(), &*key.text, key.hash))?;
    Ok(())
}

/// Whether [`expire`] would find a key to look at.
pub(super) fn is_any_older(connection: &Connection, retention: &KeyRetention) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM idempotency_keys WHERE order_id < ?1 LIMIT 1")?
        .exists([retention.horizon().key()])
}

/// Removes some keys that have expired; how many.
pub(super) fn expire(tx: &Connection, retention: &KeyRetention) -> rusqlite::Result<usize> {
    let horizon = retention.shared_horizon();
    tx.prepare_cached(
        "DELETE FROM idempotency_keys WHERE order_id IN
         (SELECT order_id FROM
             (SELECT order_id FROM idempotency_keys WHERE order_id < ?1 ORDER BY order_id LIMIT ?2)
          WHERE NOT EXISTS (SELECT 1 FROM unfinished_orders WHERE id = order_id)
              AND NOT EXISTS (SELECT 1 FROM ended_orders WHERE id = order_id AND changed_ms >= ?3))",
    )?
    .execute((horizon.key(), LOOKED_AT, horizon.created_ms().cast_signed()))
}
