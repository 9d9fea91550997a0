//! Pages of orders, and the totals of customers.

use super::{PostgresOrders, row, select_orders};
use crate::base::money::Money;
use crate::postgres::{Call, Row};
use crate::shop::contract::{CustomerId, CustomerTotals, OpeningBalance, StorageError, TotalsAfter};
use crate::shop::orders::domain::Order;
use crate::shop::orders::repository::OrdersPage;
use crate::shop::postgres::{Columns, event_streams, row_count};

/// The totals of the next customers as of an event: `$1` the last customer before them, `$2` how many
/// customers,
/// `$3` the number of the event. What was confirmed behind it is taken off again.
const TOTALS_AS_OF: &str = "
    WITH next AS (SELECT customer_id FROM (
            SELECT customer_id FROM orders WHERE customer_id > $1
            UNION SELECT customer_id FROM removed_totals WHERE customer_id > $1) AS customers
        ORDER BY customer_id LIMIT $2)
    SELECT n.customer_id, t.currency, sum(t.orders)::bigint, least(sum(t.amount),
        9223372036854775807)::bigint,
        max(t.removed), max(t.removed_amount), max(t.before_ms)
    FROM next AS n LEFT JOIN (
        SELECT customer_id, currency, 1::bigint AS orders, amount::numeric AS amount, 0::bigint AS removed,
            0::bigint AS removed_amount, 0::bigint AS before_ms
        FROM orders WHERE status = 20 AND customer_id IN (SELECT customer_id FROM next)
        UNION ALL
        SELECT customer_id, currency, orders, amount, orders, amount, before_ms FROM removed_totals
        WHERE customer_id IN (SELECT customer_id FROM next)
        UNION ALL
        SELECT customer_id, currency, -1, -amount::numeric, 0, 0, 0 FROM outbox
        WHERE number > $3 AND event = 'order.confirmed' AND customer_id IN (SELECT customer_id FROM next)
    ) AS t ON t.customer_id = n.customer_id
    GROUP BY n.customer_id, t.currency ORDER BY n.customer_id, t.currency";

const TOTALS_AFTER: &str = "
    SELECT customer_id, currency, count(*), least(sum(amount), 9223372036854775807)::bigint, 0::bigint,
        0::bigint,
        0::bigint
    FROM outbox WHERE number > $1 AND number <= $2 AND event = 'order.confirmed'
    GROUP BY customer_id, currency";

/// The number of the last of so many events behind a number and up to another.
const END: &str = "SELECT coalesce(max(number), $1) FROM (SELECT number FROM outbox
    WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3) AS next";

impl PostgresOrders {
    pub(in crate::shop::orders) async fn orders(&self, page: OrdersPage) -> Result<Vec<Order>, StorageError> {
        let call = match page.customer {
            None => Call::new(select_orders!("WHERE id < $1 ORDER BY id DESC LIMIT $2"))
                .bind(page.before.key())
                .bind(row_count(page.limit)),
            Some(customer) => Call::new(select_orders!(
                "WHERE customer_id = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
            ))
            .bind(page.before.key())
            .bind(row_count(page.limit))
            .bind(String::from(customer)),
        };
        let rows = self.store.list(call).await?;
        rows.iter().map(|row| row::order(Columns(row))).collect()
    }

    pub(in crate::shop::orders) async fn totals_after(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<TotalsAfter, StorageError> {
        let ends = event_streams::ends(&self.store).await?;
        let newest = ends.newest.max(number);
        let end = Call::new(END)
            .bind(number.cast_signed())
            .bind(newest.cast_signed())
            .bind(row_count(limit));
        let rows = self.store.list(end).await?;
        let end = rows.first().map_or(Ok(number), |row| Columns(row).count(0))?;
        let after = Call::new(TOTALS_AFTER)
            .bind(number.cast_signed())
            .bind(end.cast_signed());
        let rows = self.store.list(after).await?;
        Ok(TotalsAfter {
            behind: event_streams::behind(&self.store, end, newest).await?,
            totals: rows
                .iter()
                .map(|row| totals(Columns(row)))
                .collect::<Result<_, _>>()?,
            end,
            oldest: ends.oldest,
            newest: ends.newest,
        })
    }

    pub(in crate::shop::orders) async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        let list = |call| async { Ok(self.store.list(call).await?) };
        totals_as_of((number, after, limit), list).await
    }
}

/// The totals of the next customers behind `after`, as of the event with that number. `list` asks the database.
pub(super) async fn totals_as_of<F: Future<Output = Result<Vec<Row>, StorageError>>>(
    (number, after, limit): (u64, Option<CustomerId>, usize),
    list: impl Fn(Call) -> F,
) -> Result<Vec<CustomerTotals>, StorageError> {
    let mut after = after.map(String::from).unwrap_or_default();
    loop {
        let call = Call::new(TOTALS_AS_OF)
            .bind(after)
            .bind(row_count(limit))
            .bind(number.cast_signed());
        let rows = list(call).await?;
        let Some(last) = rows.last() else {
            return Ok(Vec::new());
        };
        after = Columns(last).get(0)?;
        let found = some_totals(&rows)?;
        // None of these customers had a confirmed order then.
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// Those of the rows with a confirmed order.
fn some_totals(rows: &[Row]) -> Result<Vec<CustomerTotals>, StorageError> {
    let any = rows.iter().filter(|row| {
        let orders: Result<Option<i64>, StorageError> = Columns(row).get(2);
        orders.is_ok_and(|orders| orders.is_some_and(|orders| orders > 0))
    });
    any.map(|row| totals(Columns(row))).collect()
}

fn totals(row: Columns<'_>) -> Result<CustomerTotals, StorageError> {
    let removed = row.count(4)?;
    Ok(CustomerTotals {
        customer: row.validated(0)?,
        orders: row.count(2)?,
        spent: Money {
            amount: row.count(3)?.min(Money::MAX_AMOUNT),
            currency: row.validated(1)?,
        },
        opening: (removed > 0).then_some(OpeningBalance {
            orders: removed,
            amount: row.count(5)?,
            before_ms: row.count(6)?,
        }),
    })
}
