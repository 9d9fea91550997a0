//! The statements about attempts whose outcome was unknown: how often a step was tried, what was answered
//! last, what follows when. People read them in an order's report; nothing is decided by them.

use std::time::Duration;

use rusqlite::{Connection, named_params};

use crate::shop::orders::domain::OrderStatus;
use crate::shop::orders::repository::UnknownAttempt;
use crate::shop::sqlite::StoredLife;

/// Adds the attempt to the order's row for the step, unless the order was parked, ended or claimed meanwhile.
pub(super) fn record(tx: &Connection, attempt: &UnknownAttempt, now_ms: u64) -> rusqlite::Result<()> {
    let after = |wait: Duration| {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_add(wait).cast_signed()
    };
    tx.prepare_cached(
        "INSERT INTO attempts
         (order_id, claim_no, step, worker, attempts, first_ms, last_ms, next_ms, until_ms, reason)
         SELECT id, claim_no, :step, :worker, 1, :now, :now, :next, :until, :reason FROM orders
         WHERE id = :order AND claim_no = :claim_no AND status = :pending
         ON CONFLICT DO UPDATE SET attempts = attempts + 1, last_ms = excluded.last_ms, next_ms = excluded.next_ms,
             until_ms = excluded.until_ms, reason = excluded.reason",
    )?
    .execute(named_params! {
        ":order": attempt.token.order.key(),
        ":claim_no": attempt.token.claim_no,
        ":pending": OrderStatus::Pending,
        ":step": attempt.step,
        ":worker": StoredLife(attempt.token.life),
        ":now": now_ms.cast_signed(),
        ":next": after(attempt.wait),
        ":until": after(attempt.budget_left),
        ":reason": attempt.reason,
    })?;
    Ok(())
}
