//! What is held for orders: reserve, release, commit, each once per order and answered again for ever.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use crate::shop::contract::{
    ClaimToken, CommandOutcome, CommandRefusal, OrderId, OrderLine, ServiceName, Sku, TimelineEntry,
};
use crate::shop::recovery::clock::rfc3339;

/// Where a reservation stands; the numbers are those of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReservationState {
    Held = 10,
    Committed = 20,
    Released = 30,
    Refused = 40,
    Tombstone = 50,
}

struct Reservation {
    state: ReservationState,
    reason: Option<CommandRefusal>,
}

type Result<T> = rusqlite::Result<T>;

/// Holds all lines, or writes down that it cannot.
pub(in crate::shop::inventory) fn reserve(
    tx: &Connection,
    token: ClaimToken,
    lines: &[OrderLine],
    now_ms: u64,
) -> Result<CommandOutcome> {
    let items: Vec<(&Sku, u32)> = lines.iter().map(|line| (&line.sku, line.quantity)).collect();
    if insert(tx, token, ReservationState::Held, &json(&items), now_ms)? {
        return hold_all(tx, token.order, &items);
    }
    answer_again(tx, token, |known| match known.state {
        // Also when it was released since: the release followed a charge that is refused for ever, and will be so again.
        ReservationState::Held | ReservationState::Committed | ReservationState::Released => {
            CommandOutcome::Done
        }
        ReservationState::Refused => {
            CommandOutcome::Refused(known.reason.unwrap_or(CommandRefusal::Withdrawn))
        }
        ReservationState::Tombstone => CommandOutcome::Refused(CommandRefusal::Withdrawn),
    })
}

/// Lets go; shuts the door when nothing came yet.
pub(in crate::shop::inventory) fn release(
    tx: &Connection,
    token: ClaimToken,
    now_ms: u64,
) -> Result<CommandOutcome> {
    if let Some(items) = end(tx, token, ReservationState::Released, now_ms)? {
        for (sku, quantity) in items {
            change(
                tx,
                "UPDATE stock SET reserved = reserved - ?2 WHERE sku = ?1",
                &sku,
                quantity,
            )?;
        }
        return Ok(CommandOutcome::Done);
    }
    if insert(tx, token, ReservationState::Tombstone, "[]", now_ms)? {
        return Ok(CommandOutcome::Done);
    }
    answer_again(tx, token, |known| match known.state {
        ReservationState::Held
        | ReservationState::Released
        | ReservationState::Refused
        | ReservationState::Tombstone => CommandOutcome::Done,
        ReservationState::Committed => CommandOutcome::Refused(CommandRefusal::Irrevocable),
    })
}

/// What is held leaves the shelf.
pub(in crate::shop::inventory) fn commit(
    tx: &Connection,
    token: ClaimToken,
    now_ms: u64,
) -> Result<CommandOutcome> {
    if let Some(items) = end(tx, token, ReservationState::Committed, now_ms)? {
        for (sku, quantity) in items {
            let leave = "UPDATE stock SET on_hand = on_hand - ?2, reserved = reserved - ?2 WHERE sku = ?1";
            change(tx, leave, &sku, quantity)?;
        }
        return Ok(CommandOutcome::Done);
    }
    if find(tx, token.order)?.is_none() {
        return Ok(CommandOutcome::Refused(CommandRefusal::Senseless(
            "nothing was reserved for this order".to_owned(),
        )));
    }
    answer_again(tx, token, |known| match known.state {
        ReservationState::Held | ReservationState::Committed => CommandOutcome::Done,
        ReservationState::Released | ReservationState::Refused | ReservationState::Tombstone => {
            CommandOutcome::Refused(CommandRefusal::Withdrawn)
        }
    })
}

/// Puts back what left the shelf; lets go what is only held; shuts the door when nothing came yet.
pub(in crate::shop::inventory) fn give_back(
    tx: &Connection,
    token: ClaimToken,
    now_ms: u64,
) -> Result<CommandOutcome> {
    let left_ms: Option<i64> = tx
        .prepare_cached(
            "SELECT ended_ms FROM reservations WHERE order_id = ?1 AND state = 20 AND claim_no <= ?2",
        )?
        .query_row((token.order.key(), token.claim_no), |row| row.get(0))
        .optional()?;
    let Some(left_ms) = left_ms else {
        return release(tx, token, now_ms);
    };
    let reason = format!("it had left the shelf at {}", rfc3339(left_ms.unsigned_abs()));
    let items = tx
        .prepare_cached(
            "UPDATE reservations SET state = 30, claim_no = ?2, ended_ms = ?3, ended_by = nullif(?4, reserved_by), reason = ?5
             WHERE order_id = ?1 RETURNING items",
        )?
        .query_row(
            (
                token.order.key(),
                token.claim_no,
                now_ms.cast_signed(),
                token.life.to_string(),
                json(&reason),
            ),
            |row| parsed(row, 0),
        )?;
    for (sku, quantity) in items {
        let back = "UPDATE stock SET on_hand = on_hand + ?2 WHERE sku = ?1";
        change(tx, back, &sku, quantity)?;
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
) -> Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO reservations (order_id, state, claim_no, items, reserved_ms, reserved_by, ended_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute((
            token.order.key(),
            state as i64,
            token.claim_no,
            items,
            now_ms.cast_signed(),
            token.life.to_string(),
        ))?;
    Ok(inserted == 1)
}

fn hold_all(tx: &Connection, order: OrderId, items: &[(&Sku, u32)]) -> Result<CommandOutcome> {
    for (index, (sku, quantity)) in items.iter().enumerate() {
        let hold = "UPDATE stock SET reserved = reserved + ?2 WHERE sku = ?1 AND on_hand - reserved >= ?2";
        if tx.prepare_cached(hold)?.execute((sku.as_str(), quantity))? == 0 {
            for (sku, quantity) in &items[..index] {
                change(
                    tx,
                    "UPDATE stock SET reserved = reserved - ?2 WHERE sku = ?1",
                    sku,
                    *quantity,
                )?;
            }
            return refuse(tx, order, sku, *quantity);
        }
    }
    Ok(CommandOutcome::Done)
}

fn refuse(tx: &Connection, order: OrderId, sku: &Sku, requested: u32) -> Result<CommandOutcome> {
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
        .execute((order.key(), ReservationState::Refused as i64, json(&refusal)))?;
    Ok(CommandOutcome::Refused(refusal))
}

/// Ends a held reservation, unless it was claimed by someone later; its items. They are read before: for a RETURNING, SQLite would
/// make a table of its own each time.
fn end(
    tx: &Connection,
    token: ClaimToken,
    state: ReservationState,
    now_ms: u64,
) -> Result<Option<Vec<(Sku, u32)>>> {
    let (order, claim_no) = (token.order.key(), token.claim_no);
    let items = tx
        .prepare_cached(
            "SELECT items FROM reservations WHERE order_id = ?1 AND state = 10 AND claim_no <= ?2",
        )?
        .query_row((order, claim_no), |row| parsed(row, 0))
        .optional()?;
    if items.is_some() {
        tx.prepare_cached(
            "UPDATE reservations SET state = ?2, claim_no = ?3, ended_ms = ?4, ended_by = nullif(?5, reserved_by)
             WHERE order_id = ?1",
        )?
        .execute((
            order,
            state as i64,
            claim_no,
            now_ms.cast_signed(),
            token.life.to_string(),
        ))?;
    }
    Ok(items)
}

/// The answer to a command that changes nothing (any more); it still notes a higher claim, so that a lower one is refused after.
fn answer_again(
    tx: &Connection,
    token: ClaimToken,
    answer: impl FnOnce(Reservation) -> CommandOutcome,
) -> Result<CommandOutcome> {
    let noted = tx
        .prepare_cached("UPDATE reservations SET claim_no = ?2 WHERE order_id = ?1 AND claim_no <= ?2")?
        .execute((token.order.key(), token.claim_no))?;
    match find(tx, token.order)? {
        Some(known) if noted == 1 => Ok(answer(known)),
        Some(_) => Ok(CommandOutcome::Fenced),
        None => Ok(CommandOutcome::Unknown(
            "the reservation was there and is gone".to_owned(),
        )),
    }
}

/// Removed in one transaction at most.
const FORGOTTEN_AT_ONCE: usize = 400;

/// Removes ended reservations of orders between these two that are not among `kept`. What had left the shelf for them is no longer
/// counted as having come in, so that the sum stays right.
pub(in crate::shop::inventory) fn forget(
    tx: &Connection,
    after: OrderId,
    before: OrderId,
    kept: &[OrderId],
) -> Result<()> {
    let kept: HashSet<i64> = kept.iter().map(|order| order.key()).collect();
    let ended: Vec<(i64, i64)> = tx
        .prepare_cached(
            "SELECT order_id, state FROM reservations WHERE order_id > ?1 AND order_id < ?2 AND state <> 10 LIMIT ?3",
        )?
        .query_map(
            (
                after.key(),
                before.key(),
                i64::try_from(FORGOTTEN_AT_ONCE + kept.len()).unwrap_or(i64::MAX),
            ),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_>>()?;
    let gone = ended.into_iter().filter(|(order, _)| !kept.contains(order));
    for (order, state) in gone.take(FORGOTTEN_AT_ONCE) {
        let items = tx
            .prepare_cached("DELETE FROM reservations WHERE order_id = ?1 RETURNING items")?
            .query_row([order], |row| parsed(row, 0))?;
        if state == ReservationState::Committed as i64 {
            for (sku, quantity) in items {
                change(
                    tx,
                    "UPDATE stock SET received = received - ?2 WHERE sku = ?1",
                    &sku,
                    quantity,
                )?;
            }
        }
    }
    Ok(())
}

fn find(tx: &Connection, order: OrderId) -> Result<Option<Reservation>> {
    tx.prepare_cached("SELECT state, reason FROM reservations WHERE order_id = ?1")?
        .query_row([order.key()], |row| {
            let reason: Option<String> = row.get(1)?;
            Ok(Reservation {
                state: state(row.get(0)?)?,
                reason: reason.and_then(|reason| serde_json::from_str(&reason).ok()),
            })
        })
        .optional()
}

fn state(number: i64) -> Result<ReservationState> {
    let states = [
        ReservationState::Held,
        ReservationState::Committed,
        ReservationState::Released,
        ReservationState::Refused,
        ReservationState::Tombstone,
    ];
    let state = states.into_iter().find(|state| *state as i64 == number);
    state.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

fn change(tx: &Connection, sql: &str, sku: &Sku, quantity: u32) -> Result<()> {
    let changed = tx.prepare_cached(sql)?.execute((sku.as_str(), quantity))?;
    if changed == 1 {
        Ok(())
    } else {
        Err(rusqlite::Error::StatementChangedRows(changed))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("these types have only string keys and cannot fail to be written")
}

fn parsed(row: &rusqlite::Row<'_>, column: usize) -> Result<Vec<(Sku, u32)>> {
    let items: String = row.get(column)?;
    serde_json::from_str(&items).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// What was done for the order.
pub(in crate::shop::inventory) fn story(
    connection: &Connection,
    order: OrderId,
) -> Result<Vec<TimelineEntry>> {
    let told = connection
        .prepare_cached(
            "SELECT state, reserved_ms, reserved_by, ended_ms, coalesce(ended_by, reserved_by), reason
             FROM reservations WHERE order_id = ?1",
        )?
        .query_row([order.key()], |row| {
            let entry = |step, outcome, column: usize, detail| -> Result<TimelineEntry> {
                let at_ms = row.get::<_, i64>(column)?.unsigned_abs();
                let worker = row.get(column + 1)?;
                Ok(TimelineEntry {
                    at_ms,
                    service: ServiceName::Inventory,
                    step,
                    outcome,
                    worker,
                    detail,
                })
            };
            let reserved = || entry("reserve", "done", 1, None);
            Ok(match state(row.get(0)?)? {
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
    Ok(told.unwrap_or_default())
}
