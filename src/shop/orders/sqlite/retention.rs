//! The statements that remove what is old, in small batches: expired keys, old events, and orders that ended
//! long ago, each with its key and its claims, all at once. What the removed orders of a customer came to is
//! kept as one row.

use rusqlite::Connection;

use super::idempotency_keys;
use crate::shop::contract::{OrderId, SweepWindow};
use crate::shop::orders::domain::OrderStatus;
use crate::shop::orders::repository::{SweepCommand, SweepRound};
use crate::shop::sqlite::{event_streams, row_count};

/// Orders that are removed in one transaction at most, so that no order waits long for it.
const AT_ONCE: usize = 200;
/// Orders that a window of the participants keeps at most, so that however many old orders must stay, the
/// others are removed.
const MOST_KEPT: usize = 5_000;

/// Whether there is any order before the horizon.
pub(super) fn is_any_older(connection: &Connection, horizon: OrderId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM orders WHERE id < ?1 LIMIT 1")?
        .exists([horizon.key()])
}

/// Removes some expired keys and some orders that ended long ago.
pub(super) fn sweep(tx: &Connection, command: &SweepCommand) -> rusqlite::Result<SweepRound> {
    let keys = idempotency_keys::expire(tx, &command.keys)?;
    raise_horizon(tx, command.horizon)?;
    let events = event_streams::trim(tx, command.events_before_ms)?;
    let old = ended_orders(tx, command)?;
    for order in &old {
        remove(tx, *order)?;
    }
    let (window, next_after) = window(tx, command)?;
    Ok(SweepRound {
        removed: keys + events + old.len(),
        window,
        next_after,
    })
}

/// Ended orders before this one are removed.
pub(super) fn horizon(connection: &Connection) -> rusqlite::Result<OrderId> {
    let horizon = "SELECT coalesce(max(order_id), 0) FROM horizon";
    connection.query_row(horizon, [], |row| Ok(OrderId::from_key(row.get(0)?)))
}

fn raise_horizon(tx: &Connection, horizon: OrderId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO horizon (one, order_id) VALUES (1, ?1)
         ON CONFLICT DO UPDATE SET order_id = max(order_id, excluded.order_id)",
    )?
    .execute([horizon.key()])?;
    Ok(())
}

/// Some orders that ended long enough ago.
fn ended_orders(tx: &Connection, command: &SweepCommand) -> rusqlite::Result<Vec<i64>> {
    tx.prepare_cached("SELECT id FROM ended_orders WHERE id < ?1 AND changed_ms < ?2 ORDER BY id LIMIT ?3")?
        .query_map(
            (
                command.horizon.key(),
                command.ended_before_ms.cast_signed(),
                row_count(AT_ONCE),
            ),
            |row| row.get(0),
        )?
        .collect()
}

fn remove(tx: &Connection, order: i64) -> rusqlite::Result<()> {
    // A sum beyond the largest integer is kept as the largest integer.
    tx.prepare_cached(
        "INSERT INTO removed_totals (customer_id, currency, orders, amount, before_ms)
         SELECT customer_id, currency, 1, amount, changed_ms FROM orders WHERE id = ?1 AND status = ?2
         ON CONFLICT DO UPDATE SET orders = orders + 1,
            amount = min(amount + excluded.amount, 9223372036854775807),
            before_ms = max(before_ms, excluded.before_ms)",
    )?
    .execute((order, OrderStatus::Confirmed))?;
    for sql in [
        "DELETE FROM takeovers WHERE order_id = ?1",
        "DELETE FROM attempts WHERE order_id = ?1",
        "DELETE FROM budget_used WHERE order_id = ?1",
        "DELETE FROM interventions WHERE order_id = ?1",
        "DELETE FROM idempotency_keys WHERE order_id = ?1",
        "DELETE FROM orders WHERE id = ?1",
    ] {
        tx.prepare_cached(sql)?.execute([order])?;
    }
    Ok(())
}

/// The window of the participants, and the order after which the next one begins: the last order of this
/// window, or the beginning when this window reached the horizon.
fn window(tx: &Connection, command: &SweepCommand) -> rusqlite::Result<(SweepWindow, OrderId)> {
    let (after, horizon) = (command.after, command.horizon);
    let mut kept: Vec<OrderId> = tx
        .prepare_cached("SELECT id FROM orders WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?
        .query_map((after.key(), horizon.key(), row_count(MOST_KEPT + 1)), |row| {
            Ok(OrderId::from_key(row.get(0)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let before = kept.get(MOST_KEPT).copied().unwrap_or(horizon);
    kept.truncate(MOST_KEPT);
    let next_after = match kept.last() {
        Some(last) if kept.len() == MOST_KEPT => *last,
        Some(_) | None => OrderId::from_key(-1),
    };
    let kept = kept.into();
    Ok((SweepWindow { after, before, kept }, next_after))
}

/// How many unfinished sagas are of definitions that this program does not know, and of which version, the
/// newest first.
pub(super) fn unknown_versions(connection: &Connection, newest: u32) -> rusqlite::Result<Vec<(u64, u32)>> {
    connection
        .prepare_cached(
            "SELECT count(*), version FROM unfinished_orders WHERE version > ?1
             GROUP BY version ORDER BY version DESC",
        )?
        .query_map([newest], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
        })?
        .collect()
}
