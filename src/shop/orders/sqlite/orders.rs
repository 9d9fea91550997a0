//! The statements about one order: placed, ended, parked, read. Every write for a saga checks the claim that
//! it is made under.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::idempotency_keys;
use super::outbox;
use super::row::{self, order_columns};
use crate::base::ids::Life;
use crate::observe::RequestContext;
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::{ClaimToken, CustomerId, OrderId};
use crate::shop::orders::domain::{NewOrder, Order, OrderStatus, Rejection, UnfinishedCounts};
use crate::shop::orders::repository::StoredReason;
use crate::shop::orders::repository::{OrdersPage, Ownership, PlaceCommand, Placement, RecordOutcome};
use crate::shop::sqlite::{StoredLife, fences, json, lookups, row_count};
use crate::store::Tx;

/// Writes the order, its saga and its key.
pub(super) fn place(tx: &Connection, command: &PlaceCommand) -> rusqlite::Result<Placement> {
    if let Some((key, retention)) = &command.key
        && let Some(found) = idempotency_keys::find(tx, key, retention)?
    {
        return Ok(Placement::KeyTaken(found));
    }
    if fences::is_fenced(tx, command.owner)? {
        return Ok(Placement::Fenced);
    }
    let mut id = command.wanted;
    while !insert(tx, command.owner, &command.order, id)? {
        id = id.next();
    }
    if let Some((key, _)) = &command.key {
        idempotency_keys::bind(tx, key, id)?;
    }
    Ok(Placement::Placed(id))
}

/// Whether the order was inserted; `false` when the id is taken.
fn insert(tx: &Connection, owner: Life, new: &NewOrder, id: OrderId) -> rusqlite::Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO orders
             (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms,
              request_id, traceparent)
             VALUES
             (:id, :status, :customer, :items, :amount, :currency, :method, :version, :owner, 1, :changed_ms,
              :request_id, :traceparent)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":id": id.key(),
            ":status": OrderStatus::Pending,
            ":customer": new.customer.as_str(),
            ":items": row::items(&new.lines),
            ":amount": new.total.amount.cast_signed(),
            ":currency": new.total.currency.as_str(),
            ":method": &*new.method,
            ":version": ORDER_VERSION,
            ":owner": StoredLife(owner),
            ":changed_ms": id.created_ms().cast_signed(),
            ":request_id": new.request.as_ref().map(RequestContext::id),
            ":traceparent": new.request.as_ref().and_then(RequestContext::traceparent),
        })?;
    Ok(inserted == 1)
}

/// Ends the order and writes its one terminal event.
pub(super) fn end(
    tx: &Tx<'_>,
    token: ClaimToken,
    rejection: Option<&Rejection>,
    now_ms: u64,
) -> rusqlite::Result<RecordOutcome> {
    let status = match rejection {
        None => OrderStatus::Confirmed,
        Some(_) => OrderStatus::Rejected,
    };
    let reason = rejection.map(|rejection| json(&StoredReason::Rejected(rejection.clone())));
    let changed = tx
        .prepare_cached(
            "UPDATE orders SET status = ?3, changed_ms = ?4, reason = ?5
             WHERE id = ?1 AND claim_no = ?2 AND (status = ?6 OR status = ?7)",
        )?
        .execute((
            token.order.key(),
            token.claim_no,
            status,
            now_ms.cast_signed(),
            reason,
            OrderStatus::Pending,
            OrderStatus::Parked,
        ))?;
    if changed == 0 {
        return what_stands(tx, token, status);
    }
    outbox::announce(tx, token.order, status, now_ms)?;
    Ok(RecordOutcome::Stands)
}

/// Parks the order, unless its saga has another owner.
pub(super) fn park(
    tx: &Connection,
    token: ClaimToken,
    why: &str,
    now_ms: u64,
) -> rusqlite::Result<RecordOutcome> {
    let changed = tx
        .prepare_cached(
            "UPDATE orders SET status = ?3, changed_ms = ?4, reason = ?5
             WHERE id = ?1 AND claim_no = ?2 AND status = ?6",
        )?
        .execute((
            token.order.key(),
            token.claim_no,
            OrderStatus::Parked,
            now_ms.cast_signed(),
            json(&StoredReason::Parked(why.to_owned())),
            OrderStatus::Pending,
        ))?;
    if changed == 1 {
        Ok(RecordOutcome::Stands)
    } else {
        what_stands(tx, token, OrderStatus::Parked)
    }
}

fn what_stands(tx: &Connection, token: ClaimToken, wanted: OrderStatus) -> rusqlite::Result<RecordOutcome> {
    let known: Option<(OrderStatus, u32)> = tx
        .prepare_cached("SELECT status, claim_no FROM orders WHERE id = ?1")?
        .query_row([token.order.key()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match known {
        Some((_, claim_no)) if claim_no != token.claim_no => RecordOutcome::Fenced,
        Some((status, _)) if status == wanted => RecordOutcome::Stands,
        Some(_) | None => RecordOutcome::Contradicted,
    })
}

/// Whether the token's life is fenced off, and whether it still owns the saga.
pub(super) fn ownership(connection: &Connection, token: ClaimToken) -> rusqlite::Result<Ownership> {
    let is_owner = connection
        .prepare_cached("SELECT 1 FROM unfinished_orders WHERE id = ?1 AND claim_no = ?2 AND owner = ?3")?
        .exists((token.order.key(), token.claim_no, StoredLife(token.life)))?;
    Ok(Ownership {
        is_fenced: fences::is_fenced(connection, token.life)?,
        is_owner,
    })
}

/// How many orders are pending, and how many are parked.
pub(super) fn unfinished_counts(connection: &Connection) -> rusqlite::Result<UnfinishedCounts> {
    connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE status = ?1), count(*) FILTER (WHERE status = ?2)
             FROM unfinished_orders",
        )?
        .query_row((OrderStatus::Pending, OrderStatus::Parked), |row| {
            Ok(UnfinishedCounts {
                pending: row.get::<_, i64>(0)?.unsigned_abs(),
                parked: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })
}

/// One order.
pub(super) fn find(connection: &Connection, id: OrderId) -> rusqlite::Result<Option<Order>> {
    connection
        .prepare_cached(concat!("SELECT ", order_columns!(), " FROM orders WHERE id = ?1"))?
        .query_row([id.key()], row::order)
        .optional()
}

/// A page of orders, the latest first.
pub(super) fn list(connection: &Connection, page: &OrdersPage) -> rusqlite::Result<Vec<Order>> {
    let limit = row_count(page.limit);
    let before = page.before.key();
    match page.customer.as_ref().map(CustomerId::as_str) {
        None => connection
            .prepare_cached(concat!(
                "SELECT ",
                order_columns!(),
                " FROM orders WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map((before, limit), row::order)?
            .collect(),
        Some(customer) => connection
            .prepare_cached(concat!(
                "SELECT ",
                order_columns!(),
                " FROM orders WHERE customer_id = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map((before, limit, customer), row::order)?
            .collect(),
    }
}

/// The confirmed orders among the newest ones, except for those that an operator decided about.
pub(super) fn newest_confirmed(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<OrderId>> {
    lookups::orders(
        connection,
        "SELECT id FROM (SELECT id, status FROM orders ORDER BY id DESC LIMIT ?1)
         WHERE status = ?2 AND id NOT IN (SELECT order_id FROM interventions)",
        (limit, OrderStatus::Confirmed),
    )
}
