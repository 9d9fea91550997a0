//! The statements about who owns unfinished sagas, and about new owners.

use rusqlite::{Connection, Params};

use super::budget_used;
use super::row::{self, order_columns};
use crate::base::ids::{Incarnation, Life};
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::Fence;
use crate::shop::orders::domain::{Order, OrderStatus};
use crate::shop::orders::repository::StoredReason;
use crate::shop::orders::repository::{
    ClaimCommand, ClaimOutcome, Claimable, ClaimedBatch, ClaimedOrder, MOST_CLAIMS,
};
use crate::shop::sqlite::{StoredLife, fences, json, row_count};

/// The owners of unfinished sagas. An owner that cannot be read is left out.
fn all_owners(connection: &Connection) -> rusqlite::Result<Vec<Life>> {
    lives(connection, "SELECT DISTINCT owner FROM unfinished_orders", [])
}

/// The owners of sagas that are under way.
fn owners_under_way(connection: &Connection) -> rusqlite::Result<Vec<Life>> {
    let owners = "SELECT DISTINCT owner FROM unfinished_orders WHERE status = ?1";
    lives(connection, owners, [OrderStatus::Pending])
}

fn lives(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<Vec<Life>> {
    let mut owners = connection.prepare_cached(sql)?;
    let mut rows = owners.query(parameters)?;
    let mut lives = Vec::new();
    while let Some(row) = rows.next()? {
        if let Ok(StoredLife(life)) = row.get(0) {
            lives.push(life);
        }
    }
    Ok(lives)
}

/// The owners of unfinished sagas, as far as `own` may claim from them: none when it is fenced off.
pub(super) fn owners_beside(connection: &Connection, own: Life) -> rusqlite::Result<Vec<Life>> {
    if fences::is_fenced(connection, own)? {
        return Ok(Vec::new());
    }
    let mut owners = all_owners(connection)?;
    owners.retain(|owner| *owner != own);
    Ok(owners)
}

/// The highest incarnation that a fence or the owner of an unfinished saga knows of.
pub(super) fn newest_incarnation(connection: &Connection) -> rusqlite::Result<Incarnation> {
    let owners = all_owners(connection)?;
    let own = owners.into_iter().filter(|owner| !owner.host.is_named());
    let newest_owner = own.map(|owner| owner.incarnation).max();
    Ok(fences::newest_incarnation(connection)?.max(newest_owner.unwrap_or_default()))
}

/// Whether a saga is under way that this life runs, or may have to take over: not one of a later incarnation.
pub(super) fn any_under_way(connection: &Connection, own: Life) -> rusqlite::Result<bool> {
    if fences::is_fenced(connection, own)? {
        return Ok(false);
    }
    let owners = owners_under_way(connection)?;
    Ok(owners.iter().any(|owner| owner.incarnation <= own.incarnation))
}

/// Whether those lives own a saga that `new_owner` would have to claim.
pub(super) fn claimable(connection: &Connection, of: Fence, new_owner: Life) -> rusqlite::Result<Claimable> {
    let mut owned = connection
        .prepare_cached("SELECT 1 FROM unfinished_orders WHERE owner = ?1 AND (status = ?2 OR ?3) LIMIT 1")?;
    for owner in owners(connection, of, new_owner)? {
        if owned.exists((StoredLife(owner), OrderStatus::Pending, includes_parked(of)))? {
            return Ok(match fences::is_fenced(connection, new_owner)? {
                true => Claimable::ButFenced,
                false => Claimable::Something,
            });
        }
    }
    Ok(Claimable::Nothing)
}

/// A new start tries parked sagas again, too.
fn includes_parked(of: Fence) -> bool {
    matches!(of, Fence::Before(..))
}

/// Fences those lives off and claims some of their unfinished sagas.
pub(super) fn claim(tx: &Connection, command: ClaimCommand, now_ms: u64) -> rusqlite::Result<ClaimOutcome> {
    if fences::is_fenced(tx, command.new_owner)? {
        return Ok(ClaimOutcome::Fenced);
    }
    fences::raise(tx, command.of)?;
    let mut batch = ClaimedBatch::default();
    for owner in owners(tx, command.of, command.new_owner)? {
        let limit = command.at_most - batch.len();
        for id in owned_by(tx, owner, command.of, limit)? {
            let order = claim_one(tx, id, owner, command.new_owner, now_ms)?;
            if has_outlived_its_owners(tx, &order)? {
                park(tx, &order, now_ms)?;
                batch.parked.push(order.id);
            } else {
                let budget_used = budget_used::read(tx, order.id)?;
                batch.orders.push(ClaimedOrder { order, budget_used });
            }
        }
    }
    Ok(ClaimOutcome::Claimed(batch))
}

fn owners(tx: &Connection, of: Fence, new_owner: Life) -> rusqlite::Result<Vec<Life>> {
    match of {
        Fence::Life(life) if life == new_owner => Ok(Vec::new()),
        Fence::Life(life) => Ok(vec![life]),
        // Owners on other hosts are from the time before the orders were moved into this file.
        Fence::Before(host, incarnation) => {
            let mut earlier = all_owners(tx)?;
            earlier
                .retain(|life| *life != new_owner && (life.host != host || life.incarnation < incarnation));
            Ok(earlier)
        }
    }
}

/// The keys of unfinished sagas of that owner that this program can run.
fn owned_by(tx: &Connection, owner: Life, of: Fence, limit: usize) -> rusqlite::Result<Vec<i64>> {
    tx.prepare_cached(
        "SELECT id FROM unfinished_orders WHERE owner = ?1 AND (status = ?2 OR ?3) AND version <= ?4
         ORDER BY id LIMIT ?5",
    )?
    .query_map(
        (
            StoredLife(owner),
            OrderStatus::Pending,
            includes_parked(of),
            ORDER_VERSION,
            row_count(limit),
        ),
        |row| row.get(0),
    )?
    .collect()
}

fn claim_one(tx: &Connection, id: i64, from: Life, to: Life, now_ms: u64) -> rusqlite::Result<Order> {
    let claimed = tx
        .prepare_cached(concat!(
            "UPDATE orders SET owner = ?2, claim_no = claim_no + 1, reason = NULL, status = ?3,
                fresh_from = iif(status = ?4, claim_no, fresh_from),
                changed_ms = iif(status = ?4, ?5, changed_ms)
             WHERE id = ?1 RETURNING ",
            order_columns!()
        ))?
        .query_row(
            (
                id,
                StoredLife(to),
                OrderStatus::Pending,
                OrderStatus::Parked,
                now_ms.cast_signed(),
            ),
            row::order,
        )?;
    tx.prepare_cached(
        "INSERT INTO takeovers (order_id, claim_no, from_owner, to_owner, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        id,
        claimed.claim_no,
        StoredLife(from),
        StoredLife(to),
        now_ms.cast_signed(),
    ))?;
    Ok(claimed)
}

fn has_outlived_its_owners(tx: &Connection, order: &Order) -> rusqlite::Result<bool> {
    let fresh_from: u32 = tx
        .prepare_cached("SELECT fresh_from FROM orders WHERE id = ?1")?
        .query_row([order.id.key()], |row| row.get(0))?;
    Ok(order.claim_no.saturating_sub(fresh_from) > MOST_CLAIMS)
}

fn park(tx: &Connection, order: &Order, now_ms: u64) -> rusqlite::Result<()> {
    let why = format!("it was claimed {MOST_CLAIMS} times, and each owner died before it ended");
    tx.prepare_cached("UPDATE orders SET status = ?2, changed_ms = ?3, reason = ?4 WHERE id = ?1")?
        .execute((
            order.id.key(),
            OrderStatus::Parked,
            now_ms.cast_signed(),
            json(&StoredReason::Parked(why)),
        ))?;
    Ok(())
}
