//! A row of `orders` as a domain type, and back.

use rusqlite::Row;

use crate::base::money::{Currency, Money};
use crate::observe::RequestContext;
use crate::shop::contract::{CustomerId, OrderId, OrderLine, Sku};
use crate::shop::orders::domain::{NewOrder, Order, Rejection};
use crate::shop::orders::repository::StoredReason;
use crate::shop::sqlite::{StoredLife, invalid, json, validated};

/// The columns that [`order`] reads, in its order.
macro_rules! order_columns {
    () => {
        "id, status, customer_id, items, amount, currency, method, owner, claim_no, changed_ms, reason, \
         given_up, request_id, traceparent"
    };
}
pub(super) use order_columns;

/// A row of the order's columns.
pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    let currency: Currency = validated(row, 5)?;
    let (rejection, parked) = reason(row, 10)?;
    let StoredLife(owner) = row.get(7)?;
    Ok(Order {
        id: OrderId::from_key(row.get(0)?),
        status: row.get(1)?,
        placed: NewOrder {
            customer: validated::<CustomerId>(row, 2)?,
            lines: lines(row, 3, currency)?.into(),
            total: Money {
                amount: row.get::<_, i64>(4)?.unsigned_abs(),
                currency,
            },
            method: row.get::<_, String>(6)?.into(),
            request: request(row, 12, 13)?,
        },
        owner,
        claim_no: row.get(8)?,
        changed_ms: row.get::<_, i64>(9)?.unsigned_abs(),
        rejection,
        parked,
        given_up: row.get::<_, Option<String>>(11)?.map(Into::into),
    })
}

/// The lines as the column `items` holds them: `[[sku, quantity, unit price], ...]`.
pub(super) fn items(lines: &[OrderLine]) -> String {
    let items: Vec<(&Sku, u32, u64)> = lines
        .iter()
        .map(|line| (&line.sku, line.quantity, line.unit_price.amount))
        .collect();
    json(&items)
}

pub(super) fn lines(row: &Row<'_>, column: usize, currency: Currency) -> rusqlite::Result<Vec<OrderLine>> {
    let items: String = row.get(column)?;
    let items: Vec<(Sku, u32, u64)> = serde_json::from_str(&items).map_err(|error| invalid(column, error))?;
    let line = |(sku, quantity, amount)| OrderLine {
        sku,
        quantity,
        unit_price: Money { amount, currency },
    };
    Ok(items.into_iter().map(line).collect())
}

/// The request that placed the order.
fn request(row: &Row<'_>, id: usize, traceparent: usize) -> rusqlite::Result<Option<RequestContext>> {
    let Some(id) = row.get::<_, Option<String>>(id)? else {
        return Ok(None);
    };
    let traceparent: Option<String> = row.get(traceparent)?;
    Ok(RequestContext::kept(&id, traceparent.as_deref()))
}

fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<(Option<Rejection>, Option<String>)> {
    let Some(reason) = row.get::<_, Option<String>>(column)? else {
        return Ok((None, None));
    };
    match serde_json::from_str(&reason).map_err(|error| invalid(column, error))? {
        StoredReason::Rejected(rejection) => Ok((Some(rejection), None)),
        StoredReason::Parked(why) => Ok((None, Some(why))),
    }
}
