//! Adjustments: pieces that came or went without an order, such as a delivery, a breakage, or what a person
//! found when counting.

use super::catalog::MOST_ON_HAND;
use crate::shop::contract::Sku;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 200;

/// An adjustment that is to be made, once however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdjustmentRequest {
    /// The article.
    pub sku: Sku,
    /// How many pieces came, or went if it is negative; not 0.
    pub delta: i64,
    /// Why, for people.
    pub reason: String,
    /// The client's name for this one adjustment.
    pub key: String,
}

impl AdjustmentRequest {
    /// Whether this is the request that made the adjustment, but for its key.
    pub(super) fn is_same_as(&self, made: &Adjustment) -> bool {
        (&self.sku, self.delta, &self.reason) == (&made.sku, made.delta, &made.reason)
    }

    /// Checks the bounds, but for the key's, which are those of every idempotency key.
    ///
    /// # Errors
    /// The key that is out of its bounds, and what was expected.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.delta == 0 || self.delta.unsigned_abs() > MOST_ON_HAND {
            let expected = format!("expected 1 to {MOST_ON_HAND}, or -1 to -{MOST_ON_HAND}");
            return Err(("delta", format!("it is {}; {expected}", self.delta)));
        }
        let reason = &self.reason;
        if reason.trim().is_empty() || reason.len() > LONGEST_REASON || reason.contains(char::is_control) {
            let expected = format!("expected 1 to {LONGEST_REASON} bytes on one line");
            return Err(("reason", expected));
        }
        Ok(())
    }
}

/// An adjustment that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Counted from 1 over all articles.
    pub number: i64,
    /// The article.
    pub sku: Sku,
    /// How many pieces came, or went if it is negative.
    pub delta: i64,
    /// Why, for people.
    pub reason: String,
    /// How many pieces were on the shelf right after it.
    pub on_hand: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What became of an [`AdjustmentRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdjustOutcome {
    /// It was made now.
    Made(Adjustment),
    /// It was made before, under the same key.
    MadeBefore(Adjustment),
}
