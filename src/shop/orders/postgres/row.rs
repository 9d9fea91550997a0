//! Rows of the orders' tables as domain types, and back.

use crate::base::money::{Currency, Money};
use crate::observe::RequestContext;
use crate::shop::contract::{CustomerId, EventData, EventKind, OrderLine, Sku, StorageError, StoredEvent};
use crate::shop::orders::domain::{NewOrder, Order, OrderStatus};
use crate::shop::orders::repository::{StoredReason, TakeoverRecord};
use crate::shop::postgres::{Columns, json};

/// The columns that [`order`] reads, in its order.
macro_rules! order_columns {
    () => {
        "id, status, customer_id, items, amount, currency, method, owner, claim_no, changed_ms, reason, \
         given_up, request_id, traceparent"
    };
}
pub(super) use order_columns;

/// The number of a status in the column `orders.status`.
pub(super) fn status_number(status: OrderStatus) -> i16 {
    match status {
        OrderStatus::Pending => 10,
        OrderStatus::Parked => 11,
        OrderStatus::Confirmed => 20,
        OrderStatus::Rejected => 30,
    }
}

/// The status in a column.
pub(super) fn status(row: Columns<'_>, column: usize) -> Result<OrderStatus, StorageError> {
    let number: i16 = row.get(column)?;
    let status = OrderStatus::ALL
        .into_iter()
        .find(|status| status_number(*status) == number);
    status.ok_or_else(|| StorageError::Failed(format!("an order has status {number}, which there is not")))
}

/// A row of the order's columns.
pub(super) fn order(row: Columns<'_>) -> Result<Order, StorageError> {
    let currency: Currency = row.validated(5)?;
    let (rejection, parked) = match row.json_if_any(10)? {
        Some(StoredReason::Rejected(rejection)) => (Some(rejection), None),
        Some(StoredReason::Parked(why)) => (None, Some(why)),
        None => (None, None),
    };
    let request: Option<String> = row.get(12)?;
    let traceparent: Option<String> = row.get(13)?;
    Ok(Order {
        id: row.order(0)?,
        status: status(row, 1)?,
        placed: NewOrder {
            customer: row.validated::<CustomerId>(2)?,
            lines: lines(row, 3, currency)?.into(),
            total: row.money(4)?,
            method: row.get::<String>(6)?.into(),
            request: request.and_then(|id| RequestContext::kept(&id, traceparent.as_deref())),
        },
        owner: row.life(7)?,
        claim_no: row.small(8)?,
        changed_ms: row.count(9)?,
        rejection,
        parked,
        given_up: row.get::<Option<String>>(11)?.map(Into::into),
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

fn lines(row: Columns<'_>, column: usize, currency: Currency) -> Result<Vec<OrderLine>, StorageError> {
    let items: Vec<(Sku, u32, u64)> = row.json(column)?;
    let line = |(sku, quantity, amount)| OrderLine {
        sku,
        quantity,
        unit_price: Money { amount, currency },
    };
    Ok(items.into_iter().map(line).collect())
}

/// The takeover in the columns from `from` on.
pub(super) fn takeover(row: Columns<'_>, from: usize) -> Result<TakeoverRecord, StorageError> {
    Ok(TakeoverRecord {
        claim_no: row.small(from)?,
        from: row.life(from + 1)?,
        to: row.life(from + 2)?,
        at_ms: row.count(from + 3)?,
    })
}

/// The events behind a number and up to another.
pub(super) const EVENTS: &str =
    "SELECT number, event, at_ms, order_id, traceparent, customer_id, items, amount,
    currency, reason, request_id FROM outbox WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3";

/// A row of [`EVENTS`].
pub(super) fn event(row: Columns<'_>) -> Result<StoredEvent, StorageError> {
    let total = row.money(7)?;
    let kind = match row.get::<String>(1)?.as_str() {
        "order.confirmed" => EventKind::OrderConfirmed,
        _ => EventKind::OrderRejected,
    };
    let reason = match row.json_if_any(9)? {
        Some(StoredReason::Rejected(rejection)) => Some(rejection.word()),
        Some(StoredReason::Parked(_)) | None => None,
    };
    Ok(StoredEvent {
        seq: row.count(0)?,
        kind,
        at_ms: row.count(2)?,
        request_id: row.get::<Option<String>>(10)?.map(Into::into),
        traceparent: row.get::<Option<String>>(4)?.map(Into::into),
        data: EventData::Order {
            order: row.order(3)?,
            customer: row.validated::<CustomerId>(5)?,
            total,
            lines: lines(row, 6, total.currency)?,
            reason,
        },
    })
}
