//! What stayed unknown: how often a step was tried, what was said last, what follows when. For people who read an order's story;
//! nothing is decided by it, so it is written beside the saga and dropped when the store has no time for it.

use std::time::Duration;

use rusqlite::{Connection, named_params};

use crate::shop::contract::ClaimToken;

/// One outcome that was unknown.
pub(in crate::shop::orders) struct UnknownAttempt {
    pub(in crate::shop::orders) token: ClaimToken,
    pub(in crate::shop::orders) step: &'static str,
    pub(in crate::shop::orders) says: String,
    /// Until the next try.
    pub(in crate::shop::orders) wait: Duration,
    /// Until it is tried no more.
    pub(in crate::shop::orders) budget_left: Duration,
}

/// Adds it to the order's row for the step, unless the order ended or was claimed meanwhile.
pub(in crate::shop::orders) fn note(
    tx: &Connection,
    unknown: &UnknownAttempt,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let after = |wait: Duration| {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_add(wait).cast_signed()
    };
    tx.prepare_cached(
        "INSERT INTO tries (order_id, claim_no, step, worker, tries, first_ms, last_ms, next_ms, until_ms, says)
         SELECT id, claim_no, :step, :worker, 1, :now, :now, :next, :until, :says FROM orders
         WHERE id = :order AND claim_no = :claim_no AND status = 10
         ON CONFLICT DO UPDATE SET tries = tries + 1, last_ms = excluded.last_ms, next_ms = excluded.next_ms,
             until_ms = excluded.until_ms, says = excluded.says",
    )?
    .execute(named_params! {
        ":order": unknown.token.order.key(),
        ":claim_no": unknown.token.claim_no,
        ":step": unknown.step,
        ":worker": unknown.token.life.to_string(),
        ":now": now_ms.cast_signed(),
        ":next": after(unknown.wait),
        ":until": after(unknown.budget_left),
        ":says": unknown.says,
    })?;
    Ok(())
}
