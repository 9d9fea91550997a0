//! The statements that record an operator's decision. The decision and its record are one transaction, which
//! also raises the claim, so that the worker that parked the order can no longer write for it.

use rusqlite::{Connection, OptionalExtension};

use super::outbox;
use crate::shop::contract::{HANDED_BACK, OrderId};
use crate::shop::orders::decision::{DecidedAct, DecisionOutcome, OperatorDecision};
use crate::shop::orders::domain::{OrderStatus, Rejection};
use crate::shop::orders::repository::StoredReason;
use crate::shop::sqlite::{StoredLife, json};
use crate::store::Tx;

/// Carries the decision out and records it, when the order is one that can be decided about.
pub(super) fn decide(
    tx: &Tx<'_>,
    decision: &OperatorDecision,
    now_ms: u64,
) -> rusqlite::Result<DecisionOutcome> {
    let order = decision.order;
    let is_done = match decision.act {
        DecidedAct::Retry => hand_back(tx, order, None, now_ms)?,
        DecidedAct::Compensate => hand_back(tx, order, Some(&decision.reason), now_ms)?,
        DecidedAct::Confirm { claim_no } => end(tx, order, claim_no, None, now_ms)?,
        DecidedAct::Reject { claim_no } => {
            let reason = decision.reason.clone();
            let rejection = Rejection::TakenBack { reason };
            end(tx, order, claim_no, Some(rejection), now_ms)?
        }
    };
    if !is_done {
        return why_not(tx, order);
    }
    tx.execute(
        "INSERT INTO interventions (order_id, at_ms, act, who, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            order.key(),
            now_ms.cast_signed(),
            decision.act.name(),
            &decision.who,
            &decision.reason,
        ),
    )?;
    Ok(DecisionOutcome::Recorded)
}

/// Hands a parked order back to the cluster; `false` when the order is not parked.
fn hand_back(tx: &Connection, order: OrderId, given_up: Option<&str>, now_ms: u64) -> rusqlite::Result<bool> {
    let changed = tx.execute(
        "UPDATE orders SET status = ?2, reason = NULL, owner = ?3, claim_no = claim_no + 1,
            fresh_from = claim_no + 1, given_up = coalesce(?4, given_up), changed_ms = ?6
         WHERE id = ?1 AND status = ?5",
        (
            order.key(),
            OrderStatus::Pending,
            StoredLife(HANDED_BACK),
            given_up,
            OrderStatus::Parked,
            now_ms.cast_signed(),
        ),
    )?;
    Ok(changed == 1)
}

/// Ends a parked order and writes its event; `false` when the order is not parked under that claim.
fn end(
    tx: &Tx<'_>,
    order: OrderId,
    claim_no: u32,
    rejection: Option<Rejection>,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let status = match rejection {
        None => OrderStatus::Confirmed,
        Some(_) => OrderStatus::Rejected,
    };
    let reason = rejection.map(|rejection| json(&StoredReason::Rejected(rejection)));
    let changed = tx.execute(
        "UPDATE orders SET status = ?3, changed_ms = ?4, reason = ?5, claim_no = claim_no + 1
         WHERE id = ?1 AND claim_no = ?2 AND status = ?6",
        (
            order.key(),
            claim_no,
            status,
            now_ms.cast_signed(),
            reason,
            OrderStatus::Parked,
        ),
    )?;
    if changed == 1 {
        outbox::announce(tx, order, status, now_ms)?;
    }
    Ok(changed == 1)
}

fn why_not(tx: &Connection, order: OrderId) -> rusqlite::Result<DecisionOutcome> {
    let status = tx
        .prepare("SELECT status FROM orders WHERE id = ?1")?
        .query_row([order.key()], |row| row.get(0))
        .optional()?;
    Ok(match status {
        Some(OrderStatus::Parked) => DecisionOutcome::ClaimedMeanwhile,
        Some(_) => DecisionOutcome::NotParked,
        None => DecisionOutcome::NoSuchOrder,
    })
}
