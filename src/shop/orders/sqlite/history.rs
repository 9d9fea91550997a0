//! The statements about the claims of sagas.

use rusqlite::{Connection, Row};

use super::orders;
use crate::shop::contract::OrderId;
use crate::shop::orders::repository::{OrderHistory, TakeoverRecord};
use crate::shop::sqlite::StoredLife;

/// The order and every claim of its saga but the first.
pub(super) fn read(connection: &Connection, id: OrderId) -> rusqlite::Result<Option<OrderHistory>> {
    let Some(order) = orders::find(connection, id)? else {
        return Ok(None);
    };
    let takeovers = takeovers(connection, id)?;
    Ok(Some(OrderHistory { order, takeovers }))
}

/// Every claim of one order's saga but the first.
pub(super) fn takeovers(connection: &Connection, id: OrderId) -> rusqlite::Result<Vec<TakeoverRecord>> {
    connection
        .prepare_cached(
            "SELECT claim_no, from_owner, to_owner, at_ms FROM takeovers WHERE order_id = ?1 ORDER BY claim_no",
        )?
        .query_map([id.key()], |row| takeover(row, 0))?
        .collect()
}

/// Every claim of every saga but the first.
pub(super) fn all_takeovers(connection: &Connection) -> rusqlite::Result<Vec<(OrderId, TakeoverRecord)>> {
    connection
        .prepare_cached("SELECT order_id, claim_no, from_owner, to_owner, at_ms FROM takeovers")?
        .query_map([], |row| Ok((OrderId::from_key(row.get(0)?), takeover(row, 1)?)))?
        .collect()
}

/// The takeover in the columns from `from` on.
fn takeover(row: &Row<'_>, from: usize) -> rusqlite::Result<TakeoverRecord> {
    let (StoredLife(from_owner), StoredLife(to_owner)) = (row.get(from + 1)?, row.get(from + 2)?);
    Ok(TakeoverRecord {
        claim_no: row.get(from)?,
        from: from_owner,
        to: to_owner,
        at_ms: row.get::<_, i64>(from + 3)?.unsigned_abs(),
    })
}
