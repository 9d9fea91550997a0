//! Looking orders up in one database that another database knows of.

use rusqlite::{Connection, Params};

use crate::shop::contract::OrderId;

/// The orders that a statement selects by their keys.
pub(in crate::shop) fn orders(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<OrderId>> {
    connection
        .prepare(sql)?
        .query_map(parameters, |row| Ok(OrderId::from_key(row.get(0)?)))?
        .collect()
}

/// Those of the orders for whose key `sql` selects no row.
pub(in crate::shop) fn missing(
    connection: &Connection,
    sql: &str,
    orders: Vec<OrderId>,
) -> rusqlite::Result<Vec<OrderId>> {
    let mut row_of = connection.prepare(sql)?;
    let mut missing = Vec::new();
    for order in orders {
        if !row_of.exists([order.key()])? {
            missing.push(order);
        }
    }
    Ok(missing)
}
