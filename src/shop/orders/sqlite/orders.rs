//! What is written down of orders and their sagas, each function one transaction: placed, ended, parked, claimed.
//! Every write for a saga checks the claim it is made under.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::budget_used as spending;
use super::row::{self, COLUMNS, StoredReason};
use crate::base::ids::Life;
use crate::saga::BudgetUsed;
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::{ClaimToken, CustomerId, Fence, OrderId, ServiceName, TimelineEntry};
use crate::shop::orders::domain::{NewOrder, Order, OrderStatus, Rejection, UnfinishedCounts};
use crate::shop::orders::idempotency::{self, IdempotencyKey, KeyMatch, KeyRetention};
use crate::shop::recovery::fences;

type Result<T> = rusqlite::Result<T>;

/// What came of placing an order.
pub(in crate::shop::orders) enum Placement {
    /// It was placed under this id.
    Placed(OrderId),
    /// Its key is taken.
    Known(KeyMatch),
    /// It was not: this life is fenced, and must be replaced.
    Fenced,
}

/// What came of a write for a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop::orders) enum RecordOutcome {
    /// It stands, written now or before.
    Stands,
    /// The saga was claimed by someone else.
    Fenced,
    /// The order ended otherwise. Cannot be, and must not be hidden.
    Contradicted,
}

/// Order, saga and key, at once. `wanted` is the id unless it is taken.
pub(in crate::shop::orders) fn place(
    tx: &Connection,
    owner: Life,
    new: &NewOrder,
    wanted: OrderId,
    key: Option<(&IdempotencyKey, &KeyRetention)>,
) -> Result<Placement> {
    if let Some((key, kept)) = key
        && let Some(found) = idempotency::find(tx, key, kept)?
    {
        return Ok(Placement::Known(found));
    }
    if fences::bars(tx, owner)? {
        return Ok(Placement::Fenced);
    }
    let mut id = wanted;
    while !insert(tx, owner, new, id)? {
        id = id.next();
    }
    if let Some((key, _)) = key {
        idempotency::bind(tx, key, id)?;
    }
    Ok(Placement::Placed(id))
}

/// Whether it was inserted; `false` when the id is taken.
fn insert(tx: &Connection, owner: Life, new: &NewOrder, id: OrderId) -> Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, ended_ms)
             VALUES (:id, 10, :customer, :items, :amount, :currency, :method, :version, :owner, 1, :ended_ms)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":id": id.key(),
            ":customer": new.customer.as_str(),
            ":items": row::items(&new.lines),
            ":amount": new.total.amount.cast_signed(),
            ":currency": new.total.currency.as_str(),
            ":method": &*new.method,
            ":version": ORDER_VERSION,
            ":owner": owner.to_string(),
            ":ended_ms": id.created_ms().cast_signed(),
        })?;
    Ok(inserted == 1)
}

/// Ends the order, and writes its one terminal event.
pub(in crate::shop::orders) fn end(
    tx: &Connection,
    token: ClaimToken,
    rejection: Option<&Rejection>,
    now_ms: u64,
) -> Result<RecordOutcome> {
    let (status, event) = match rejection {
        None => (OrderStatus::Confirmed, "order.confirmed"),
        Some(_) => (OrderStatus::Rejected, "order.rejected"),
    };
    let reason = rejection.map(|rejection| row::json(&StoredReason::Rejected(rejection.clone())));
    let changed = tx
        .prepare_cached(
            "UPDATE orders SET status = ?3, ended_ms = ?4, reason = ?5 WHERE id = ?1 AND claim_no = ?2 AND status < 20",
        )?
        .execute((token.order.key(), token.claim_no, status.number(), now_ms.cast_signed(), reason))?;
    if changed == 0 {
        return what_stands(tx, token, status);
    }
    tx.prepare_cached("INSERT INTO outbox (order_id, event, at_ms) VALUES (?1, ?2, ?3)")?
        .execute((token.order.key(), event, now_ms.cast_signed()))?;
    Ok(RecordOutcome::Stands)
}

/// Leaves the saga as it is, for a person or the next start.
pub(in crate::shop::orders) fn park(
    tx: &Connection,
    token: ClaimToken,
    why: &str,
    now_ms: u64,
) -> Result<RecordOutcome> {
    let reason = row::json(&StoredReason::Parked(why.to_owned()));
    let changed = tx
        .prepare_cached(
            "UPDATE orders SET status = 11, ended_ms = ?3, reason = ?4 WHERE id = ?1 AND claim_no = ?2 AND status = 10",
        )?
        .execute((token.order.key(), token.claim_no, now_ms.cast_signed(), reason))?;
    if changed == 1 {
        Ok(RecordOutcome::Stands)
    } else {
        what_stands(tx, token, OrderStatus::Parked)
    }
}

fn what_stands(tx: &Connection, token: ClaimToken, wanted: OrderStatus) -> Result<RecordOutcome> {
    let known = tx
        .prepare_cached("SELECT status, claim_no FROM orders WHERE id = ?1")?
        .query_row([token.order.key()], |row| {
            Ok((row::status(row, 0)?, row.get::<_, u32>(1)?))
        })
        .optional()?;
    Ok(match known {
        Some((_, claim_no)) if claim_no != token.claim_no => RecordOutcome::Fenced,
        Some((status, _)) if status == wanted => RecordOutcome::Stands,
        Some(_) | None => RecordOutcome::Contradicted,
    })
}

/// Whether the saga is still that life's, and unfinished.
pub(in crate::shop::orders) fn is_owner(connection: &Connection, token: ClaimToken) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM orders WHERE id = ?1 AND claim_no = ?2 AND owner = ?3 AND status < 20",
        )?
        .exists((token.order.key(), token.claim_no, token.life.to_string()))
}

/// Everybody who owns an unfinished saga.
pub(in crate::shop::orders) fn all_owners(connection: &Connection) -> Result<Vec<Life>> {
    let owners: Vec<String> = connection
        .prepare_cached("SELECT DISTINCT owner FROM orders WHERE status < 20")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    Ok(owners.iter().filter_map(|owner| owner.parse().ok()).collect())
}

/// Whether a saga is under way that this life drives, or may have to inherit.
pub(in crate::shop::orders) fn any_under_way(connection: &Connection, own: Life) -> Result<bool> {
    if fences::bars(connection, own)? {
        return Ok(false);
    }
    let owners: Vec<String> = connection
        .prepare_cached("SELECT DISTINCT owner FROM orders WHERE status < 20 AND status = 10")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let may_be_inherited = |owner: &String| {
        let life = owner.parse::<Life>();
        life.is_ok_and(|life| life.incarnation <= own.incarnation)
    };
    Ok(owners.iter().any(may_be_inherited))
}

/// Whether there is anything to claim.
pub(in crate::shop::orders) fn is_owed(connection: &Connection, of: Fence, heir: Life) -> Result<bool> {
    let mut owed = connection.prepare_cached(
        "SELECT 1 FROM orders WHERE status < 20 AND owner = ?1 AND (status = 10 OR ?2) LIMIT 1",
    )?;
    for owner in owners(connection, of, heir)? {
        if owed.exists((&owner, parked_too(of)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A new start is a new try, also for what stood still.
fn parked_too(of: Fence) -> bool {
    matches!(of, Fence::Before(_))
}

/// A saga that was claimed so often since a person, or a new start, had it tried anew is parked: whatever its owners died of, it
/// may have been this order. No clock counts here, so none can be wrong.
const MOST_CLAIMS: u32 = 50;

/// What came of claiming some.
#[derive(Default)]
pub(in crate::shop::orders) struct ClaimedBatch {
    /// To be driven, as they are now, and what their owners have spent of the budgets.
    pub(in crate::shop::orders) orders: Vec<(Order, BudgetUsed)>,
    /// Parked instead.
    pub(in crate::shop::orders) parked: Vec<OrderId>,
}

impl ClaimedBatch {
    fn len(&self) -> usize {
        self.orders.len() + self.parked.len()
    }
}

/// Fences them, and claims at most `most` of their unfinished sagas for `heir`; the orders as they are then. `None` when the heir
/// is fenced himself.
pub(in crate::shop::orders) fn claim(
    tx: &Connection,
    of: Fence,
    heir: Life,
    most: usize,
    now_ms: u64,
) -> Result<Option<ClaimedBatch>> {
    if fences::bars(tx, heir)? {
        return Ok(None);
    }
    fences::raise(tx, of)?;
    let mut claimed = ClaimedBatch::default();
    for owner in owners(tx, of, heir)? {
        let limit = i64::try_from(most - claimed.len()).unwrap_or(i64::MAX);
        let ids: Vec<i64> = tx
            .prepare_cached(
                "SELECT id FROM orders WHERE status < 20 AND owner = ?1 AND (status = 10 OR ?2) AND version <= ?4 ORDER BY id LIMIT ?3",
            )?
            .query_map((&owner, parked_too(of), limit, ORDER_VERSION), |row| row.get(0))?
            .collect::<Result<_>>()?;
        for id in ids {
            let order = claim_one(tx, id, &owner, heir, now_ms)?;
            if survived_nobody(tx, &order)? {
                park_for(tx, &order, now_ms)?;
                claimed.parked.push(order.id);
            } else {
                let spent = spending::read(tx, order.id)?;
                claimed.orders.push((order, spent));
            }
        }
    }
    Ok(Some(claimed))
}

fn owners(tx: &Connection, of: Fence, heir: Life) -> Result<Vec<String>> {
    match of {
        Fence::Life(life) if life == heir => Ok(Vec::new()),
        Fence::Life(life) => Ok(vec![life.to_string()]),
        Fence::Before(incarnation) => {
            let earlier = |life: &Life| *life != heir && life.incarnation < incarnation;
            let all = all_owners(tx)?.into_iter().filter(earlier);
            Ok(all.map(|life| life.to_string()).collect())
        }
    }
}

fn claim_one(tx: &Connection, id: i64, from: &str, heir: Life, now_ms: u64) -> Result<Order> {
    let heir = heir.to_string();
    let claimed = tx
        .prepare_cached(&format!(
            "UPDATE orders SET owner = ?2, claim_no = claim_no + 1, reason = NULL, status = 10,
                fresh_from = CASE status WHEN 11 THEN claim_no ELSE fresh_from END
             WHERE id = ?1 RETURNING {COLUMNS}"
        ))?
        .query_row((id, &heir), row::order)?;
    tx.prepare_cached(
        "INSERT INTO takeovers (order_id, claim_no, from_owner, to_owner, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((id, claimed.claim_no, from, &heir, now_ms.cast_signed()))?;
    Ok(claimed)
}

fn survived_nobody(tx: &Connection, order: &Order) -> Result<bool> {
    let fresh_from: u32 = tx
        .prepare_cached("SELECT fresh_from FROM orders WHERE id = ?1")?
        .query_row([order.id.key()], |row| row.get(0))?;
    Ok(order.claim_no.saturating_sub(fresh_from) > MOST_CLAIMS)
}

fn park_for(tx: &Connection, order: &Order, now_ms: u64) -> Result<()> {
    let why = format!("it was claimed {MOST_CLAIMS} times, and each owner died before it ended");
    tx.prepare_cached("UPDATE orders SET status = 11, ended_ms = ?2, reason = ?3 WHERE id = ?1")?
        .execute((
            order.id.key(),
            now_ms.cast_signed(),
            row::json(&StoredReason::Parked(why)),
        ))?;
    Ok(())
}

/// How many sagas are under way, and how many stand still.
pub(in crate::shop::orders) fn unfinished(connection: &Connection) -> Result<UnfinishedCounts> {
    connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE status = 10), count(*) FILTER (WHERE status = 11) FROM orders WHERE status < 20",
        )?
        .query_row([], |row| {
            Ok(UnfinishedCounts {
                pending: row.get::<_, i64>(0)?.unsigned_abs(),
                parked: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })
}

/// One order.
pub(in crate::shop::orders) fn find(connection: &Connection, id: OrderId) -> Result<Option<Order>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM orders WHERE id = ?1"))?
        .query_row([id.key()], row::order)
        .optional()
}

/// At most `limit` orders (of that customer) before `before`, the latest first.
pub(in crate::shop::orders) fn list(
    connection: &Connection,
    customer: Option<&CustomerId>,
    before: OrderId,
    limit: usize,
) -> Result<Vec<Order>> {
    let of_customer = if customer.is_some() {
        "customer_id = ?3 AND"
    } else {
        "?3 IS NULL AND"
    };
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM orders WHERE {of_customer} id < ?1 ORDER BY id DESC LIMIT ?2"
        ))?
        .query_map(
            (
                before.key(),
                i64::try_from(limit).unwrap_or(i64::MAX),
                customer.map(CustomerId::as_str),
            ),
            row::order,
        )?
        .collect()
}

/// What orders itself did for the order: placed, claimed, ended.
pub(in crate::shop::orders) fn story(connection: &Connection, order: &Order) -> Result<Vec<TimelineEntry>> {
    let entry = |at_ms, step, outcome, worker: &str, detail| {
        let (service, worker) = (ServiceName::Orders, worker.to_owned());
        TimelineEntry {
            at_ms,
            service,
            step,
            outcome,
            worker,
            detail,
        }
    };
    let takeovers: Vec<(u32, String, String, i64)> = connection
        .prepare_cached(
            "SELECT claim_no, from_owner, to_owner, at_ms FROM takeovers WHERE order_id = ?1 ORDER BY claim_no",
        )?
        .query_map([order.id.key()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_>>()?;
    let first_owner = takeovers.first().map_or(&order.owner, |(_, from, ..)| from);
    let mut entries = vec![entry(order.id.created_ms(), "place", "done", first_owner, None)];
    for (claim_no, from, to, at_ms) in &takeovers {
        let detail = Some(format!("claim {claim_no}, from {from}"));
        entries.push(entry(at_ms.unsigned_abs(), "claim", "done", to, detail));
    }
    let why = |rejection: &Rejection| row::json(rejection);
    match order.status {
        OrderStatus::Pending => {}
        OrderStatus::Parked => entries.push(entry(
            order.ended_ms,
            "park",
            "parked",
            &order.owner,
            order.parked.clone(),
        )),
        OrderStatus::Confirmed => entries.push(entry(order.ended_ms, "confirm", "done", &order.owner, None)),
        OrderStatus::Rejected => {
            let detail = order.rejection.as_ref().map(why);
            entries.push(entry(order.ended_ms, "reject", "done", &order.owner, detail));
        }
    }
    Ok(entries)
}
