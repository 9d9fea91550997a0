//! What is old enough is removed, in small batches: an ended order with its event, its key and its takeovers, all at once. The
//! outbox is emptied from its front, so that it never has a gap; its last event stays, so that no number is given out twice.

use rusqlite::Connection;

use crate::shop::contract::OrderId;

/// Removed in one transaction at most, so that no order waits for it.
const AT_ONCE: usize = 200;
/// The other files are swept in windows with at most so many orders that are still here, so that none of these, however old
/// and however many, holds back the rest.
const MOST_KEPT: usize = 5_000;

/// What one round did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop::orders) struct RetentionRound {
    /// Orders removed.
    pub(in crate::shop::orders) removed: usize,
    /// What the others may forget.
    pub(in crate::shop::orders) window: SweepWindow,
}

/// A stretch of orders, and those of it that are still here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop::orders) struct SweepWindow {
    /// It begins after this one,
    pub(in crate::shop::orders) after: OrderId,
    /// and ends before this one.
    pub(in crate::shop::orders) before: OrderId,
    /// Not over, or too young.
    pub(in crate::shop::orders) kept: Vec<OrderId>,
}

impl SweepWindow {
    fn open(tx: &Connection, after: OrderId, horizon: OrderId) -> rusqlite::Result<SweepWindow> {
        let mut kept: Vec<OrderId> = tx
            .prepare_cached("SELECT id FROM orders WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?
            .query_map((after.key(), horizon.key(), number(MOST_KEPT + 1)), |row| {
                Ok(OrderId::from_key(row.get(0)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let before = kept.get(MOST_KEPT).copied().unwrap_or(horizon);
        kept.truncate(MOST_KEPT);
        Ok(SweepWindow { after, before, kept })
    }

    /// After which order the next window begins: where this one ended, or from the start again.
    pub(in crate::shop::orders) fn next(&self) -> OrderId {
        match self.kept.last() {
            Some(last) if self.kept.len() == MOST_KEPT => *last,
            Some(_) | None => OrderId::from_key(-1),
        }
    }
}

/// Whether any order was placed before `horizon`.
pub(in crate::shop::orders) fn is_any_older(
    connection: &Connection,
    horizon: OrderId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM orders WHERE id < ?1 LIMIT 1")?
        .exists([horizon.key()])
}

/// Removes what ended before `ended_before_ms` and was placed before `horizon`; what is left of the orders after `after`.
pub(in crate::shop::orders) fn sweep(
    tx: &Connection,
    horizon: OrderId,
    ended_before_ms: u64,
    after: OrderId,
) -> rusqlite::Result<RetentionRound> {
    tx.prepare_cached(
        "INSERT INTO horizon (one, order_id) VALUES (1, ?1)
         ON CONFLICT DO UPDATE SET order_id = max(order_id, excluded.order_id)",
    )?
    .execute([horizon.key()])?;
    let front: Vec<(i64, i64, i64)> = tx
        .prepare_cached(
            "SELECT seq, order_id, at_ms FROM outbox WHERE seq < (SELECT max(seq) FROM outbox) ORDER BY seq LIMIT ?1",
        )?
        .query_map([number(AT_ONCE)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let is_old = |(_, order, at_ms): &&(i64, i64, i64)| {
        at_ms.unsigned_abs() < ended_before_ms && *order < horizon.key()
    };
    let old: Vec<_> = front.iter().take_while(is_old).collect();
    for (seq, order, _) in &old {
        tx.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?
            .execute([seq])?;
        for table in ["takeovers", "tries", "spent", "interventions", "idempotency_keys"] {
            tx.prepare_cached(&format!("DELETE FROM {table} WHERE order_id = ?1"))?
                .execute([order])?;
        }
        tx.prepare_cached("DELETE FROM orders WHERE id = ?1 AND status >= 20")?
            .execute([order])?;
    }
    Ok(RetentionRound {
        removed: old.len(),
        window: SweepWindow::open(tx, after, horizon)?,
    })
}

/// How many unfinished sagas are of definitions that this program does not know, and of which.
pub(in crate::shop::orders) fn unknown_versions(
    connection: &Connection,
    newest: u32,
) -> rusqlite::Result<Vec<(u64, u32)>> {
    connection
        .prepare_cached(
            "SELECT count(*), version FROM orders WHERE status < 20 AND version > ?1 GROUP BY version ORDER BY version DESC",
        )?
        .query_map([newest], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?
        .collect()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
