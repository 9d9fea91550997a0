//! The statements that add up the orders of each customer as of an event. Orders that retention removed are
//! in the sum by their totals; what was confirmed behind the event is taken off again.

use rusqlite::{Connection, Row, named_params};

use crate::base::money::Money;
use crate::shop::contract::{CustomerId, CustomerTotals, OpeningBalance, TotalsAfter};
use crate::shop::orders::domain::OrderStatus;
use crate::shop::sqlite::{event_streams, row_count, validated};

/// The last of the next customers; null when there is none.
const LAST: &str = "SELECT max(customer_id) FROM (
    SELECT customer_id FROM orders WHERE customer_id > ?1
    UNION SELECT customer_id FROM removed_totals WHERE customer_id > ?1
    ORDER BY customer_id LIMIT ?2)";

/// SQLite's `sum` fails beyond the largest integer, so each half of the amounts is summed by itself.
const TOTALS: &str = "SELECT customer_id, currency, sum(orders), sum(amount >> 31), sum(amount & 2147483647),
        max(removed), max(removed_amount), max(before_ms)
    FROM (
        SELECT customer_id, currency, 1 AS orders, amount, 0 AS removed, 0 AS removed_amount, 0 AS before_ms
        FROM orders WHERE status = :confirmed AND customer_id > :after AND customer_id <= :last
        UNION ALL
        SELECT customer_id, currency, orders, amount, orders, amount, before_ms
        FROM removed_totals WHERE customer_id > :after AND customer_id <= :last
        UNION ALL
        SELECT coalesce(o.customer_id, orders.customer_id) AS customer,
            coalesce(o.currency, orders.currency), -1,
            -coalesce(o.amount, orders.amount), 0, 0, 0
        FROM outbox AS o LEFT JOIN orders ON o.customer_id IS NULL AND orders.id = o.order_id
        WHERE seq > :number AND event = 'order.confirmed' AND customer > :after AND customer <= :last
    )
    GROUP BY customer_id, currency HAVING sum(orders) > 0 ORDER BY customer_id, currency";

/// The totals of the next customers after that one, as of the event of that number.
pub(super) fn as_of(
    connection: &Connection,
    number: u64,
    after: Option<&CustomerId>,
    limit: usize,
) -> rusqlite::Result<Vec<CustomerTotals>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut after = after.map_or("", CustomerId::as_str).to_owned();
    loop {
        let last: Option<String> = snapshot
            .prepare_cached(LAST)?
            .query_row((&after, row_count(limit)), |row| row.get(0))?;
        let Some(last) = last else { return Ok(Vec::new()) };
        let found: Vec<CustomerTotals> = snapshot
            .prepare_cached(TOTALS)?
            .query_map(
                named_params! {
                    ":confirmed": OrderStatus::Confirmed,
                    ":after": after,
                    ":last": last,
                    ":number": number.cast_signed(),
                },
                totals,
            )?
            .collect::<rusqlite::Result<_>>()?;
        if !found.is_empty() {
            return Ok(found);
        }
        // None of these customers had a confirmed order then.
        after = last;
    }
}

/// The confirmed orders among the events behind a number, at most so many events.
const AFTER: &str =
    "SELECT customer_id, currency, count(*), sum(amount >> 31), sum(amount & 2147483647), 0, 0, 0
    FROM (
        SELECT coalesce(o.customer_id, orders.customer_id) AS customer_id,
            coalesce(o.currency, orders.currency) AS currency, coalesce(o.amount, orders.amount) AS amount
        FROM outbox AS o LEFT JOIN orders ON o.customer_id IS NULL AND orders.id = o.order_id
        WHERE seq > ?1 AND seq <= ?2 AND event = 'order.confirmed'
    )
    WHERE customer_id IS NOT NULL GROUP BY customer_id, currency";

/// What the events behind that number come to, at most `limit` of them.
pub(super) fn after(connection: &Connection, number: u64, limit: usize) -> rusqlite::Result<TotalsAfter> {
    let snapshot = connection.unchecked_transaction()?;
    let (oldest, newest) = event_streams::ends(&snapshot)?;
    let end = event_streams::end_of(&snapshot, number, limit)?;
    let totals = snapshot
        .prepare_cached(AFTER)?
        .query_map((number.cast_signed(), end.cast_signed()), totals)?
        .collect::<rusqlite::Result<_>>()?;
    let behind = event_streams::behind(&snapshot, end)?;
    Ok(TotalsAfter {
        behind,
        totals,
        end,
        oldest,
        newest,
    })
}

fn totals(row: &Row<'_>) -> rusqlite::Result<CustomerTotals> {
    let (high, low): (i64, i64) = (row.get(3)?, row.get(4)?);
    let amount = (i128::from(high) << 31) + i128::from(low);
    let (removed, removed_amount): (i64, i64) = (row.get(5)?, row.get(6)?);
    Ok(CustomerTotals {
        customer: validated(row, 0)?,
        orders: row.get::<_, i64>(2)?.unsigned_abs(),
        spent: Money {
            amount: u64::try_from(amount).unwrap_or(0).min(Money::MAX_AMOUNT),
            currency: validated(row, 1)?,
        },
        opening: (removed > 0).then_some(OpeningBalance {
            orders: removed.unsigned_abs(),
            amount: removed_amount.unsigned_abs(),
            before_ms: row.get::<_, i64>(7)?.unsigned_abs(),
        }),
    })
}
