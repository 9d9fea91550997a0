//! The statements about what is held for orders. Each command is carried out once per order and gets the same
//! answer again.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::shop::contract::{
    ClaimToken, CommandOutcome, CommandRefusal, OrderId, OrderLine, ServiceName, Sku, SweepWindow,
    TimelineEntry,
};
use crate::shop::inventory::reservation::{ReservationCommand, ReservationState};
use crate::shop::recovery::clock::rfc3339;
use crate::shop::sqlite::{StoredLife, invalid, json, row_count};

struct Reservation {
    state: ReservationState,
    reason: Option<CommandRefusal>,
}

const LET_GO: &str = "UPDATE stock SET reserved = reserved - ?2, changed_ms = ?3 WHERE sku = ?1";
/// Reservations that are removed in one transaction at most, so that no order waits long for it.
const FORGOTTEN_AT_ONCE: usize = 400;

/// Holds all lines, or records that there are too few goods.
pub(super) fn reserve(
    tx: &Connection,
    token: ClaimToken,
    lines: &[OrderLine],
    now_ms: u64,
) -> rusqlite::Result<CommandOutcome> {
    let items: Vec<(&Sku, u32)> = lines.iter().map(|line| (&line.sku, line.quantity)).collect();
    if insert(tx, token, ReservationState::Held, &json(&items), now_ms)? {
        return hold_all(tx, token.order, &items, now_ms);
    }
    answer_again(tx, token, ReservationCommand::Reserve)
}

/// Lets go of the goods; leaves a tombstone when nothing was reserved yet.
pub(super) fn release(tx: &Connection, token: ClaimToken, now_ms: u64) -> rusqlite::Result<CommandOutcome> {
    if let Some(items) = end(tx, token, ReservationState::Released, now_ms)? {
        for (sku, quantity) in items {
            change(tx, LET_GO, &sku, quantity, now_ms)?;
        }
        return Ok(CommandOutcome::Done);
    }
    if insert(tx, token, ReservationState::Tombstone, "[]", now_ms)? {
        return Ok(CommandOutcome::Done);
    }
    answer_again(tx, token, ReservationCommand::Release)
}

/// The goods that are held leave the shelf.
pub(super) fn commit(tx: &Connection, token: ClaimToken, now_ms: u64) -> rusqlite::Result<CommandOutcome> {
    if let Some(items) = end(tx, token, ReservationState::Committed, now_ms)? {
        for (sku, quantity) in items {
            let leave = "UPDATE stock SET on_hand = on_hand - ?2, reserved = reserved - ?2, changed_ms = ?3
                WHERE sku = ?1";
            change(tx, leave, &sku, quantity, now_ms)?;
        }
        return Ok(CommandOutcome::Done);
    }
    if find(tx, token.order)?.is_none() {
        return Ok(CommandOutcome::Refused(CommandRefusal::Senseless(
            "nothing was reserved for this order".to_owned(),
        )));
    }
    answer_again(tx, token, ReservationCommand::Commit)
}

/// Puts goods that left the shelf back, and lets go of goods that are only held; leaves a tombstone when
/// nothing was reserved yet.
pub(super) fn give_back(tx: &Connection, token: ClaimToken, now_ms: u64) -> rusqlite::Result<CommandOutcome> {
    let left_ms: Option<i64> = tx
        .prepare_cached(
            "SELECT changed_ms FROM reservations WHERE order_id = ?1 AND claim_no <= ?2 AND state = ?3",
        )?
        .query_row(
            (token.order.key(), token.claim_no, ReservationState::Committed),
            |row| row.get(0),
        )
        .optional()?;
    let Some(left_ms) = left_ms else {
        return release(tx, token, now_ms);
    };
    let reason = format!("it had left the shelf at {}", rfc3339(left_ms.unsigned_abs()));
    let returned = tx
        .prepare_cached(
            "UPDATE reservations
             SET claim_no = ?2, changed_ms = ?3, changed_by = nullif(?4, reserved_by), reason = ?5, state = ?6
             WHERE order_id = ?1 RETURNING items",
        )?
        .query_row(
            (
                token.order.key(),
                token.claim_no,
                now_ms.cast_signed(),
                StoredLife(token.life),
                json(&reason),
                ReservationState::Released,
            ),
            |row| items(row, 0),
        )?;
    for (sku, quantity) in returned {
        let back = "UPDATE stock SET on_hand = on_hand + ?2, changed_ms = ?3 WHERE sku = ?1";
        change(tx, back, &sku, quantity, now_ms)?;
    }
    Ok(CommandOutcome::Done)
}

/// Whether a row was made; `false` when the order has one.
fn insert(
    tx: &Connection,
    token: ClaimToken,
    state: ReservationState,
    items: &str,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO reservations (order_id, state, claim_no, items, reserved_ms, reserved_by, changed_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute((
            token.order.key(),
            state,
            token.claim_no,
            items,
            now_ms.cast_signed(),
            StoredLife(token.life),
        ))?;
    Ok(inserted == 1)
}

fn hold_all(
    tx: &Connection,
    order: OrderId,
    items: &[(&Sku, u32)],
    now_ms: u64,
) -> rusqlite::Result<CommandOutcome> {
    for (index, (sku, quantity)) in items.iter().enumerate() {
        let hold = "UPDATE stock SET reserved = reserved + ?2, changed_ms = ?3
            WHERE sku = ?1 AND on_hand - reserved >= ?2";
        let parameters = (sku.as_str(), quantity, now_ms.cast_signed());
        if tx.prepare_cached(hold)?.execute(parameters)? == 0 {
            for (sku, quantity) in &items[..index] {
                change(tx, LET_GO, sku, *quantity, now_ms)?;
            }
            return refuse(tx, order, sku, *quantity);
        }
    }
    Ok(CommandOutcome::Done)
}

fn refuse(tx: &Connection, order: OrderId, sku: &Sku, requested: u32) -> rusqlite::Result<CommandOutcome> {
    let available = tx
        .prepare_cached("SELECT on_hand - reserved FROM stock WHERE sku = ?1")?
        .query_row([sku.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    let available = available
        .and_then(|available| u64::try_from(available).ok())
        .unwrap_or(0);
    let refusal = CommandRefusal::OutOfStock {
        sku: sku.clone(),
        requested,
        available,
    };
    tx.prepare_cached("UPDATE reservations SET state = ?2, reason = ?3 WHERE order_id = ?1")?
        .execute((order.key(), ReservationState::Refused, json(&refusal)))?;
    Ok(CommandOutcome::Refused(refusal))
}

/// Ends a reservation that is held, unless a later owner claimed it; its items. They are read before the
/// update, because SQLite makes a table of its own for each RETURNING.
fn end(
    tx: &Connection,
    token: ClaimToken,
    state: ReservationState,
    now_ms: u64,
) -> rusqlite::Result<Option<Vec<(Sku, u32)>>> {
    let (order, claim_no) = (token.order.key(), token.claim_no);
    let held = tx
        .prepare_cached(
            "SELECT items FROM reservations WHERE order_id = ?1 AND claim_no <= ?2 AND state = ?3",
        )?
        .query_row((order, claim_no, ReservationState::Held), |row| items(row, 0))
        .optional()?;
    if held.is_some() {
        tx.prepare_cached(
            "UPDATE reservations SET state = ?2, claim_no = ?3, changed_ms = ?4, changed_by = nullif(?5, reserved_by)
             WHERE order_id = ?1",
        )?
        .execute((
            order,
            state,
            claim_no,
            now_ms.cast_signed(),
            StoredLife(token.life),
        ))?;
    }
    Ok(held)
}

/// The answer to a command that changes nothing any more. It still records a higher claim, so that a lower
/// one is refused afterwards.
fn answer_again(
    tx: &Connection,
    token: ClaimToken,
    command: ReservationCommand,
) -> rusqlite::Result<CommandOutcome> {
    let noted = tx
        .prepare_cached("UPDATE reservations SET claim_no = ?2 WHERE order_id = ?1 AND claim_no <= ?2")?
        .execute((token.order.key(), token.claim_no))?;
    match find(tx, token.order)? {
        Some(known) if noted == 1 => Ok(command.answer(known.state, known.reason)),
        Some(_) => Ok(CommandOutcome::Fenced),
        None => Ok(CommandOutcome::Unknown(
            "the reservation was there and is gone".to_owned(),
        )),
    }
}

/// Removes some ended reservations of orders in the window that orders does not keep. Goods that left the
/// shelf for them are no longer counted as having come in, so that the sum stays right.
pub(super) fn forget(tx: &Connection, window: &SweepWindow) -> rusqlite::Result<()> {
    let kept: HashSet<i64> = window.kept.iter().map(|order| order.key()).collect();
    let ended: Vec<(i64, ReservationState)> = tx
        .prepare_cached(
            "SELECT order_id, state FROM reservations
             WHERE order_id > ?1 AND order_id < ?2 AND state <> ?3 LIMIT ?4",
        )?
        .query_map(
            (
                window.after.key(),
                window.before.key(),
                ReservationState::Held,
                row_count(FORGOTTEN_AT_ONCE + kept.len()),
            ),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let gone = ended.into_iter().filter(|(order, _)| !kept.contains(order));
    for (order, state) in gone.take(FORGOTTEN_AT_ONCE) {
        let removed = tx
            .prepare_cached("DELETE FROM reservations WHERE order_id = ?1 RETURNING items")?
            .query_row([order], |row| items(row, 0))?;
        if state == ReservationState::Committed {
            for (sku, quantity) in removed {
                one_row(
                    tx.prepare_cached("UPDATE stock SET received = received - ?2 WHERE sku = ?1")?
                        .execute((sku.as_str(), quantity))?,
                )?;
            }
        }
    }
    Ok(())
}

fn find(tx: &Connection, order: OrderId) -> rusqlite::Result<Option<Reservation>> {
    tx.prepare_cached("SELECT state, reason FROM reservations WHERE order_id = ?1")?
        .query_row([order.key()], |row| {
            let reason: Option<String> = row.get(1)?;
            Ok(Reservation {
                state: row.get(0)?,
                reason: reason.and_then(|reason| serde_json::from_str(&reason).ok()),
            })
        })
        .optional()
}

fn change(tx: &Connection, sql: &str, sku: &Sku, quantity: u32, now_ms: u64) -> rusqlite::Result<()> {
    let parameters = (sku.as_str(), quantity, now_ms.cast_signed());
    one_row(tx.prepare_cached(sql)?.execute(parameters)?)
}

fn one_row(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 {
        Ok(())
    } else {
        Err(rusqlite::Error::StatementChangedRows(changed))
    }
}

/// A column of items: `[[sku, quantity], ...]`.
fn items(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<(Sku, u32)>> {
    let items: String = row.get(column)?;
    serde_json::from_str(&items).map_err(|error| invalid(column, error))
}

/// Those of the orders whose goods did not leave the shelf.
pub(super) fn not_committed(connection: &Connection, orders: Vec<OrderId>) -> rusqlite::Result<Vec<OrderId>> {
    let mut state_of = connection.prepare("SELECT state FROM reservations WHERE order_id = ?1")?;
    let mut missing = Vec::new();
    for order in orders {
        let state = state_of.query_row([order.key()], |row| row.get(0)).optional()?;
        if state != Some(ReservationState::Committed) {
            missing.push(order);
        }
    }
    Ok(missing)
}

/// What inventory did for the order.
pub(super) fn timeline(connection: &Connection, order: OrderId) -> rusqlite::Result<Vec<TimelineEntry>> {
    let entries = connection
        .prepare_cached(
            "SELECT state, reserved_ms, reserved_by, changed_ms, coalesce(changed_by, reserved_by), reason
             FROM reservations WHERE order_id = ?1",
        )?
        .query_row([order.key()], |row| {
            let entry = |step, outcome, column: usize, detail| -> rusqlite::Result<TimelineEntry> {
                let at_ms = row.get::<_, i64>(column)?.unsigned_abs();
                let StoredLife(worker) = row.get(column + 1)?;
                Ok(TimelineEntry {
                    at_ms,
                    service: ServiceName::Inventory,
                    step,
                    outcome,
                    worker,
                    detail,
                    request_id: None,
                })
            };
            let reserved = || entry("reserve", "done", 1, None);
            Ok(match row.get(0)? {
                ReservationState::Held => vec![reserved()?],
                ReservationState::Committed => vec![reserved()?, entry("commit", "done", 3, None)?],
                ReservationState::Released => vec![reserved()?, entry("release", "done", 3, row.get(5)?)?],
                ReservationState::Refused => vec![entry("reserve", "refused", 1, row.get(5)?)?],
                ReservationState::Tombstone => vec![entry(
                    "release",
                    "done",
                    1,
                    Some("nothing was reserved".to_owned()),
                )?],
            })
        })
        .optional()?;
    Ok(entries.unwrap_or_default())
}
