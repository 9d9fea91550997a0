//! The statements about the totals of customers, and about how far they have come.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{ApplyOutcome, ReadModelRow};
use crate::base::money::Money;
use crate::shop::contract::{CustomerId, CustomerTotals, OpeningBalance, OrdersMark, StreamId};
use crate::shop::customers::summary::{CustomerSummary, SpentTotal};
use crate::shop::sqlite::validated;

/// Rows that are removed in one transaction at most.
const REMOVED_AT_ONCE: u32 = 1_000;

/// The last event that is in the model; `None` without a model.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<Option<OrdersMark>> {
    connection
        .prepare_cached("SELECT stream, number FROM inbox")?
        .query_row([], |row| {
            Ok(OrdersMark {
                stream: StreamId(row.get::<_, i64>(0)?.cast_unsigned()),
                number: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })
        .optional()
}

/// Adds what events come to, unless the model does not stand at `from` any more.
pub(super) fn apply(
    tx: &Connection,
    from: OrdersMark,
    totals: &[CustomerTotals],
    to: OrdersMark,
    now_ms: u64,
) -> rusqlite::Result<ApplyOutcome> {
    if mark(tx)? != Some(from) {
        return Ok(ApplyOutcome::Moved);
    }
    totals.iter().try_for_each(|total| add(tx, total))?;
    tx.prepare_cached("UPDATE inbox SET number = ?1, at_ms = ?2")?
        .execute((to.number.cast_signed(), now_ms.cast_signed()))?;
    Ok(ApplyOutcome::Applied)
}

/// A sum beyond the largest integer is kept as the largest integer.
fn add(tx: &Connection, total: &CustomerTotals) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO totals (generation, customer_id, currency, orders, amount)
         SELECT generation, ?1, ?2, ?3, ?4 FROM inbox WHERE true
         ON CONFLICT DO UPDATE SET orders = orders + excluded.orders,
            amount = min(amount + excluded.amount, 9223372036854775807)",
    )?
    .execute((
        total.customer.as_str(),
        total.spent.currency.as_str(),
        total.orders.cast_signed(),
        total.spent.amount.cast_signed(),
    ))?;
    Ok(())
}

/// Writes totals of a generation that is not in use yet.
pub(super) fn prepare(tx: &Connection, generation: i64, totals: &[CustomerTotals]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO totals VALUES (:generation, :customer, :currency, :orders, :amount,
            :opening_orders, :opening_amount, :opening_before_ms)",
    )?;
    for CustomerTotals {
        customer,
        orders,
        spent,
        opening,
    } in totals
    {
        let opening = opening.unwrap_or(OpeningBalance {
            orders: 0,
            amount: 0,
            before_ms: 0,
        });
        insert.execute(named_params! {
            ":generation": generation,
            ":customer": customer.as_str(),
            ":currency": spent.currency.as_str(),
            ":orders": orders.cast_signed(),
            ":amount": spent.amount.cast_signed(),
            ":opening_orders": opening.orders.cast_signed(),
            ":opening_amount": opening.amount.cast_signed(),
            ":opening_before_ms": opening.before_ms.cast_signed(),
        })?;
    }
    Ok(())
}

/// Puts a generation to use, if it has so many rows: somebody else may have removed some as unused.
pub(super) fn replace(
    tx: &Connection,
    generation: i64,
    rows: usize,
    mark: OrdersMark,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) FROM totals WHERE generation = ?1";
    let found: i64 = tx.query_row(count, [generation], |row| row.get(0))?;
    if usize::try_from(found) != Ok(rows) {
        return Ok(false);
    }
    tx.execute(
        "INSERT OR REPLACE INTO inbox (one, generation, stream, number, at_ms) VALUES (1, ?1, ?2, ?3, ?4)",
        (
            generation,
            mark.stream.0.cast_signed(),
            mark.number.cast_signed(),
            now_ms.cast_signed(),
        ),
    )?;
    Ok(true)
}

/// Whether there are rows of another generation than the one in use.
pub(super) fn has_unused(connection: &Connection) -> rusqlite::Result<bool> {
    let lowest_and_highest = "SELECT EXISTS (SELECT 1 FROM inbox, (SELECT min(generation) AS low,
        max(generation) AS high FROM totals) WHERE low <> generation OR high <> generation)";
    connection.query_row(lowest_and_highest, [], |row| row.get(0))
}

/// Removes some rows of other generations than the one in use; how many.
pub(super) fn remove_unused(tx: &Connection) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM totals WHERE (generation, customer_id, currency) IN (
            SELECT generation, customer_id, currency FROM totals
            WHERE generation <> (SELECT generation FROM inbox) LIMIT ?1)",
    )?
    .execute([REMOVED_AT_ONCE])
}

/// What that customer ordered; `None` without a confirmed order.
pub(super) fn summary(
    connection: &Connection,
    customer: &CustomerId,
) -> rusqlite::Result<Option<CustomerSummary>> {
    let mut statement = connection.prepare_cached(
        "SELECT customer_id, currency, orders, amount, opening_orders, opening_amount, opening_before_ms,
            at_ms
         FROM totals JOIN inbox USING (generation) WHERE customer_id = ?1 ORDER BY currency",
    )?;
    let mut found: Option<CustomerSummary> = None;
    let mut rows = statement.query([customer.as_str()])?;
    while let Some(row) = rows.next()? {
        let as_of_ms = row.get::<_, i64>(7)?.unsigned_abs();
        let totals = Vec::new();
        let summary = found.get_or_insert(CustomerSummary { totals, as_of_ms });
        summary.totals.push(total(row)?);
    }
    Ok(found)
}

fn total(row: &Row<'_>) -> rusqlite::Result<SpentTotal> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let opening = OpeningBalance {
        orders: number(4)?,
        amount: number(5)?,
        before_ms: number(6)?,
    };
    Ok(SpentTotal {
        orders: number(2)?,
        spent: Money {
            amount: number(3)?,
            currency: validated(row, 1)?,
        },
        opening: (opening.orders > 0).then_some(opening),
    })
}

/// Every row in use.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<ReadModelRow>> {
    connection
        .prepare(
            "SELECT customer_id, currency, orders, amount FROM totals JOIN inbox USING (generation)
             ORDER BY customer_id, currency",
        )?
        .query_map([], |row| {
            Ok(ReadModelRow {
                customer: row.get(0)?,
                currency: row.get(1)?,
                orders: row.get::<_, i64>(2)?.unsigned_abs(),
                amount: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?
        .collect()
}
