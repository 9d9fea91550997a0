//! An order's row: the disk's types, and what becomes of them. Pure but for reading a row.

use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};

use crate::base::money::{Currency, Money};
use crate::shop::contract::{CustomerId, OrderId, OrderLine, Sku};
use crate::shop::orders::domain::{NewOrder, Order, OrderStatus, Rejection};

/// What [`order`] reads, in its order.
pub(super) const COLUMNS: &str =
    "id, status, customer_id, items, amount, currency, method, owner, claim_no, ended_ms, reason, given_up";

/// Why a row is rejected or parked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredReason {
    Rejected(Rejection),
    Parked(String),
}

impl OrderStatus {
    /// As in the column.
    pub(super) fn number(self) -> i64 {
        match self {
            OrderStatus::Pending => 10,
            OrderStatus::Parked => 11,
            OrderStatus::Confirmed => 20,
            OrderStatus::Rejected => 30,
        }
    }

    fn from_number(number: i64) -> rusqlite::Result<OrderStatus> {
        let all = [
            OrderStatus::Pending,
            OrderStatus::Parked,
            OrderStatus::Confirmed,
            OrderStatus::Rejected,
        ];
        let status = all.into_iter().find(|status| status.number() == number);
        status.ok_or(rusqlite::Error::IntegralValueOutOfRange(1, number))
    }
}

/// A whole row.
pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    let currency: Currency = valid(row, 5)?;
    let (rejection, parked) = reason(row, 10)?;
    Ok(Order {
        id: OrderId::from_key(row.get(0)?),
        status: status(row, 1)?,
        placed: NewOrder {
            customer: valid::<CustomerId>(row, 2)?,
            lines: lines(row, 3, currency)?.into(),
            total: Money {
                amount: row.get::<_, i64>(4)?.unsigned_abs(),
                currency,
            },
            method: row.get::<_, String>(6)?.into(),
        },
        owner: row.get(7)?,
        claim_no: row.get(8)?,
        ended_ms: row.get::<_, i64>(9)?.unsigned_abs(),
        rejection,
        parked,
        given_up: row.get::<_, Option<String>>(11)?.map(Into::into),
    })
}

/// A status column.
pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<OrderStatus> {
    OrderStatus::from_number(row.get(column)?)
}

/// The items column.
pub(super) fn items(lines: &[OrderLine]) -> String {
    let items: Vec<(&Sku, u32, u64)> = lines
        .iter()
        .map(|line| (&line.sku, line.quantity, line.unit_price.amount))
        .collect();
    json(&items)
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have only string keys and cannot fail to be written")
}

fn lines(row: &Row<'_>, column: usize, currency: Currency) -> rusqlite::Result<Vec<OrderLine>> {
    let items: String = row.get(column)?;
    let items: Vec<(Sku, u32, u64)> = serde_json::from_str(&items).map_err(|error| unfit(column, error))?;
    let line = |(sku, quantity, amount)| OrderLine {
        sku,
        quantity,
        unit_price: Money { amount, currency },
    };
    Ok(items.into_iter().map(line).collect())
}

fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<(Option<Rejection>, Option<String>)> {
    let Some(reason) = row.get::<_, Option<String>>(column)? else {
        return Ok((None, None));
    };
    match serde_json::from_str(&reason).map_err(|error| unfit(column, error))? {
        StoredReason::Rejected(rejection) => Ok((Some(rejection), None)),
        StoredReason::Parked(why) => Ok((None, Some(why))),
    }
}

fn valid<T: TryFrom<String>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.get(column)?).map_err(|error| unfit(column, error))
}

fn unfit(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
