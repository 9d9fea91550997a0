//! A client's idempotency keys: which order a key stands for, and whether the request is the same. The answer itself is not
//! stored: it is derived from the order, which never changes once it is final.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::shop::contract::OrderId;
use crate::shop::recovery::steady_clock::SteadyClock;

/// Longer keys are refused.
const LONGEST: usize = 255;
/// So many of the oldest keys are looked at in one transaction: behind more that are old and kept, the others go with their orders.
const LOOKED_AT: u32 = 256;

/// A key with the hash of what was asked under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    hash: [u8; 32],
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to {LONGEST} printable ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// A key for a request, given as it was understood: two bodies that mean the same are the same request.
    ///
    /// # Errors
    /// [`InvalidIdempotencyKey`].
    pub fn new(text: &[u8], hash: [u8; 32]) -> Result<IdempotencyKey, InvalidIdempotencyKey> {
        let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !(1..=LONGEST).contains(&text.len()) || !printable {
            return Err(InvalidIdempotencyKey);
        }
        Ok(IdempotencyKey {
            text: String::from_utf8_lossy(text).into_owned(),
            hash,
        })
    }
}

/// How long keys are kept, and by which clock.
#[derive(Clone, Debug)]
pub(super) struct KeyRetention {
    pub(super) almanac: Arc<SteadyClock>,
    pub(super) retention: Duration,
}

impl KeyRetention {
    /// Keys of orders before this one have expired, as far as this process knows the clock.
    fn since(&self) -> OrderId {
        OrderId::first_of(self.almanac.ago_ms(self.retention))
    }

    /// The same, as far as any process knows it that has committed anything.
    fn since_for_all(&self) -> OrderId {
        self.almanac.reload();
        self.since()
    }
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyMatch {
    /// This order, placed with the same request.
    Same(OrderId),
    /// Another request.
    Other,
}

/// What the key stands for, unless it stands for nothing or has expired.
pub(super) fn find(
    connection: &Connection,
    key: &IdempotencyKey,
    kept: &KeyRetention,
) -> rusqlite::Result<Option<KeyMatch>> {
    let known = connection
        .prepare_cached("SELECT order_id, body_hash FROM idempotency_keys WHERE key = ?1")?
        .query_row([&key.text], |row| {
            Ok((OrderId::from_key(row.get(0)?), row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    let Some((order, hash)) = known else {
        return Ok(None);
    };
    if has_expired(connection, order, kept)? {
        return Ok(None);
    }
    Ok(Some(if hash == key.hash {
        KeyMatch::Same(order)
    } else {
        KeyMatch::Other
    }))
}

/// An order that is not over keeps its key, however old: whoever asks again must not make, and pay, a second one. The time of
/// retention begins when the order ends.
fn has_expired(connection: &Connection, order: OrderId, kept: &KeyRetention) -> rusqlite::Result<bool> {
    if order >= kept.since() {
        return Ok(false);
    }
    // Rare, and final: whoever placed it may have known of a step of the clock that this process has not heard of.
    let since = kept.since_for_all();
    let lives = connection
        .prepare_cached("SELECT 1 FROM orders WHERE id = ?1 AND (status < 20 OR ended_ms >= ?2)")?
        .exists((order.key(), since.created_ms().cast_signed()))?;
    Ok(order < since && !lives)
}

/// Binds the key, which [`find`] did not, to the order; a key that has expired is bound anew.
pub(super) fn bind(tx: &Connection, key: &IdempotencyKey, order: OrderId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM idempotency_keys WHERE key = ?1")?
        .execute([&key.text])?;
    tx.prepare_cached("INSERT INTO idempotency_keys (order_id, key, body_hash) VALUES (?1, ?2, ?3)")?
        .execute((order.key(), &key.text, key.hash))?;
    Ok(())
}

/// Whether [`expire`] would find one to look at.
pub(super) fn is_any_older(connection: &Connection, kept: &KeyRetention) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM idempotency_keys WHERE order_id < ?1 LIMIT 1")?
        .exists([kept.since().key()])
}

/// Removes some keys that have expired. How many.
pub(super) fn expire(tx: &Connection, kept: &KeyRetention) -> rusqlite::Result<usize> {
    let since = kept.since_for_all();
    tx.prepare_cached(
        "DELETE FROM idempotency_keys WHERE order_id IN
         (SELECT order_id FROM
             (SELECT order_id FROM idempotency_keys WHERE order_id < ?1 ORDER BY order_id LIMIT ?2)
          WHERE NOT EXISTS (SELECT 1 FROM orders WHERE id = order_id AND (status < 20 OR ended_ms >= ?3)))",
    )?
    .execute((since.key(), LOOKED_AT, since.created_ms().cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable() {
        assert!(IdempotencyKey::new(b"8e03978e-40d5-43e8-bc93-6894a57f9324", [0; 32]).is_ok());
        assert!(IdempotencyKey::new(&[b'k'; LONGEST], [0; 32]).is_ok());
        for bad in [&b""[..], &[b'k'; LONGEST + 1], b"a\tb", "ä".as_bytes()] {
            assert_eq!(IdempotencyKey::new(bad, [0; 32]), Err(InvalidIdempotencyKey));
        }
    }
}
