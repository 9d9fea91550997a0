//! What one file must not say, whatever the others do: prices that do not add up, events and keys of nobody, goods of no article, a
//! table or trigger that is gone. Each is one query over one file, or over files whose rows never change once they are there.

use rusqlite::Connection;

use crate::shop::contract::OrderId;

/// More of a kind would bury the first.
const MOST_OF_A_KIND: u32 = 20;

/// Orders that `sql` finds wrong, each told with `what`.
fn told(connection: &Connection, sql: &str, what: &str, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut look = connection.prepare(&format!("{sql} LIMIT {MOST_OF_A_KIND}"))?;
    let mut rows = look.query([])?;
    while let Some(row) = rows.next()? {
        found.push(format!("{} {what}", OrderId::from_key(row.get(0)?)));
    }
    Ok(())
}

/// Events and keys are removed with their order, in one transaction.
pub(super) fn orders(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    told(
        connection,
        "SELECT order_id FROM outbox WHERE order_id NOT IN (SELECT id FROM orders)",
        "has an event in the outbox and is no order",
        found,
    )?;
    told(
        connection,
        "SELECT order_id FROM idempotency_keys WHERE order_id NOT IN (SELECT id FROM orders)",
        "is what an idempotency key leads to and is no order",
        found,
    )?;
    told(
        connection,
        "SELECT order_id FROM idempotency_keys WHERE length(body_hash) <> 32",
        "has an idempotency key without the hash of its request",
        found,
    )
}

/// Whether what an order's lines cost is its total.
pub(super) fn adds_up(order: OrderId, cost: Option<u128>, total: i64, found: &mut Vec<String>) {
    if cost != u128::try_from(total).ok() {
        let cost = cost.map_or("cannot be read".to_owned(), |cost| format!("cost {cost}"));
        found.push(format!("{order} has a total of {total} and its lines {cost}"));
    }
}

/// Goods are held for, or left the shelf of, articles that there are.
pub(super) fn inventory(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut look = connection.prepare(&format!(
        "SELECT item.value ->> 0, count(*), min(order_id) FROM reservations, json_each(items) AS item
         WHERE state IN (10, 20) GROUP BY 1 HAVING item.value ->> 0 NOT IN (SELECT sku FROM stock) LIMIT {MOST_OF_A_KIND}"
    ))?;
    let mut rows = look.query([])?;
    while let Some(row) = rows.next()? {
        let (sku, many): (Option<String>, i64) = (row.get(0)?, row.get(1)?);
        let (sku, first) = (sku.unwrap_or_default(), OrderId::from_key(row.get(2)?));
        found.push(format!(
            "{sku} is no article and goods of it are reserved or sold to {many} orders, of which the first is {first}"
        ));
    }
    Ok(())
}

/// The currency is the same wherever money is named, and a receipt is of a charge. To be asked of a connection to the orders that
/// has payments attached, and after them the sandbox: their snapshots are taken in this order, and who is first knows least.
pub(super) fn money(connection: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    told(
        connection,
        "SELECT paid.order_id FROM payments.payments AS paid JOIN orders ON id = paid.order_id
         WHERE paid.currency <> orders.currency",
        "is paid in another currency than it is ordered in",
        found,
    )?;
    let charge = "FROM payments.payments AS paid LEFT JOIN sandbox.attempt AS charge
        ON charge.provider_key = substr(receipt, 4) AND 'ch_' || charge.provider_key = receipt
           AND charge.kind = 'charge' AND charge.outcome = 'succeeded' WHERE paid.state = 10";
    told(
        connection,
        &format!("SELECT paid.order_id {charge} AND charge.provider_key IS NULL"),
        "is paid and its receipt is of no charge in the ledger",
        found,
    )?;
    told(
        connection,
        &format!("SELECT paid.order_id {charge} AND charge.currency <> paid.currency"),
        "is charged in another currency than payments says",
        found,
    )
}
