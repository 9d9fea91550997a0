//! The statements about the claims of one order.

use rusqlite::Connection;

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

fn takeovers(connection: &Connection, id: OrderId) -> rusqlite::Result<Vec<TakeoverRecord>> {
    connection
        .prepare_cached(
            "SELECT claim_no, from_owner, to_owner, at_ms FROM takeovers WHERE order_id = ?1 ORDER BY claim_no",
        )?
        .query_map([id.key()], |row| {
            let (StoredLife(from), StoredLife(to)) = (row.get(1)?, row.get(2)?);
            Ok(TakeoverRecord {
                claim_no: row.get(0)?,
                from,
                to,
                at_ms: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?
        .collect()
}
