//! What comes next for an order, and when, derived from the same records that the order's next owner would
//! use.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use crate::base::ids::Life;
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::{HANDED_BACK, OrderId};
use crate::shop::evidence::audit;
use crate::shop::recovery::clock::rfc3339;
use crate::shop::sqlite::fences;
use crate::shop::{inventory, payments};

/// What comes next for an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// The next step as text.
    pub says: String,
    /// The time of the next step where it is known, as in `2026-11-22T16:02:36.123Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

struct OrderRow {
    status: i64,
    owner: String,
    claim_no: u32,
    version: u32,
    given_up: bool,
}

/// Derives the next step; `None` when the order does not exist.
pub(super) fn read(
    data_dir: &Path,
    orders: &Connection,
    order: OrderId,
) -> rusqlite::Result<Option<NextStep>> {
    let row = orders
        .query_row(
            "SELECT status, owner, claim_no, version, given_up IS NOT NULL FROM orders WHERE id = ?1",
            [order.key()],
            |row| {
                Ok(OrderRow {
                    status: row.get(0)?,
                    owner: row.get(1)?,
                    claim_no: row.get(2)?,
                    version: row.get(3)?,
                    given_up: row.get(4)?,
                })
            },
        )
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let says = |says: String| NextStep { says, at: None };
    if row.version > ORDER_VERSION && row.status < 20 {
        let version = row.version;
        return Ok(Some(says(format!(
            "a binary that knows saga version {version} has to run it; this one knows up to {ORDER_VERSION}"
        ))));
    }
    match row.status {
        10 => under_way(data_dir, orders, order, &row).map(Some),
        11 => Ok(Some(says(
            "nothing by itself until a cluster is started over this directory, which tries it again; \
             `sagas retry`, `sagas compensate`, `confirm` or `reject` decide about it now"
                .to_owned(),
        ))),
        _ => Ok(Some(says("nothing: it is over".to_owned()))),
    }
}

fn under_way(
    data_dir: &Path,
    orders: &Connection,
    order: OrderId,
    row: &OrderRow,
) -> rusqlite::Result<NextStep> {
    let step = step(data_dir, order, row.given_up)?;
    let owner = &row.owner;
    if *owner == HANDED_BACK.to_string() {
        let says =
            format!("a worker takes it up within two seconds while a cluster runs, and goes on with {step}");
        return Ok(NextStep { says, at: None });
    }
    let fenced = match owner.parse::<Life>() {
        Ok(life) => fences::is_fenced(orders, life)?,
        Err(_) => false,
    };
    if fenced {
        let says = format!("{owner} was fenced; the worker that claims from it goes on with {step}");
        return Ok(NextStep { says, at: None });
    }
    let tried = orders
        .query_row(
            "SELECT step, tries, last_ms, next_ms, until_ms, says FROM tries
             WHERE order_id = ?1 AND claim_no = ?2 ORDER BY last_ms DESC LIMIT 1",
            (order.key(), row.claim_no),
            |row| {
                let at = |column: usize| Ok::<_, rusqlite::Error>(rfc3339(row.get::<_, i64>(column)?.unsigned_abs()));
                let (step, tries, why): (String, u32, String) = (row.get(0)?, row.get(1)?, row.get(5)?);
                let (last, next, until) = (at(2)?, at(3)?, at(4)?);
                Ok(NextStep {
                    says: format!(
                        "{owner} tries {step} again (tried {tries} times, last at {last}: {why}); if it is still unknown at \
                         {until}, that is settled or the order is parked"
                    ),
                    at: Some(next),
                })
            },
        )
        .optional()?;
    Ok(tried.unwrap_or_else(|| NextStep {
        says: format!("{owner} is at {step}, or waits for room in a database to do it"),
        at: None,
    }))
}

/// The first step whose effect is not on disk yet.
fn step(data_dir: &Path, order: OrderId, given_up: bool) -> rusqlite::Result<&'static str> {
    let number = |file: &str, sql: &str| -> rusqlite::Result<Option<i64>> {
        audit::open(&data_dir.join(file))?
            .query_row(sql, [order.key()], |row| row.get(0))
            .optional()
    };
    let held = number(
        inventory::FILE,
        "SELECT state FROM reservations WHERE order_id = ?1",
    )?;
    let paid = number(
        payments::FILE,
        "SELECT CASE WHEN state = 10 AND refund IS NOT NULL THEN 40 ELSE state END FROM payments WHERE \
         order_id = ?1",
    )?;
    Ok(match (given_up, held, paid) {
        (true, Some(20), _) => "return: what left the shelf is put back",
        (true, _, None | Some(10)) => "refund: the charge is cancelled, or given back",
        (true, Some(10), _) => "release: what is held is let go",
        (true, ..) => "reject: its last record",
        (false, None, _) => "reserve: the stock is held",
        (false, Some(10), None) => "charge: the money is taken",
        (false, Some(10), Some(10)) => "commit: what is held leaves the shelf",
        (false, Some(10), Some(_)) => "release: what is held is let go",
        (false, Some(20), _) => "confirm: its last record",
        (false, Some(_), _) => "reject: its last record",
    })
}
