//! A client's idempotency keys: which order a key stands for, and whether the request is the same. The answer
//! is not stored; it is derived from the order, which never changes once it has ended.

use std::sync::Arc;
use std::time::Duration;

use crate::shop::contract::OrderId;
use crate::shop::recovery::steady_clock::SteadyClock;

/// The longest key, in bytes.
const LONGEST: usize = 255;

/// A key with the hash of the request that was made under it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub(super) text: Arc<str>,
    pub(super) hash: [u8; 32],
}

/// A text that cannot be an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to {LONGEST} printable ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// A key for a request. `hash` is of the request as it was understood, so that two bodies that mean the
    /// same are the same request.
    ///
    /// # Errors
    /// [`InvalidIdempotencyKey`].
    pub fn new(text: &[u8], hash: [u8; 32]) -> Result<IdempotencyKey, InvalidIdempotencyKey> {
        let is_printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !(1..=LONGEST).contains(&text.len()) || !is_printable {
            return Err(InvalidIdempotencyKey);
        }
        let text = String::from_utf8_lossy(text).into();
        Ok(IdempotencyKey { text, hash })
    }

    /// The key as the client has sent it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How long keys are kept, and by which clock.
#[derive(Clone, Debug)]
pub(super) struct KeyRetention {
    pub(super) clock: Arc<SteadyClock>,
    pub(super) period: Duration,
}

impl KeyRetention {
    /// The keys of orders before this one have expired, as far as this process knows the clock.
    pub(super) fn horizon(&self) -> OrderId {
        OrderId::first_of(self.clock.ago_ms(self.period))
    }

    /// The same, as far as any process knows the clock that has committed anything.
    pub(super) fn shared_horizon(&self) -> OrderId {
        self.clock.reload();
        self.horizon()
    }
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyMatch {
    /// This order, which was placed with the same request.
    SameRequest(OrderId),
    /// Another request was made under the key.
    OtherRequest,
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
