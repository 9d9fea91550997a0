//! The statements about how much of a saga's budgets its owners used, kept for the next owner.

use std::time::Duration;

use rusqlite::{Connection, named_params};

use crate::saga::{BudgetUsed, SagaCommand};
use crate::shop::contract::OrderId;
use crate::shop::orders::domain::OrderStatus;
use crate::shop::orders::repository::BudgetUse;

/// Records what this claim has used, unless the order was parked, ended or claimed meanwhile.
pub(super) fn record(tx: &Connection, budget_use: &BudgetUse) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO budget_used (order_id, claim_no, step, used_ms)
         SELECT id, claim_no, :step, :ms FROM orders
         WHERE id = :order AND claim_no = :claim_no AND status = :pending
         ON CONFLICT DO UPDATE SET used_ms = excluded.used_ms",
    )?
    .execute(named_params! {
        ":order": budget_use.token.order.key(),
        ":claim_no": budget_use.token.claim_no,
        ":pending": OrderStatus::Pending,
        ":step": budget_use.command.name(),
        ":ms": i64::try_from(budget_use.used.as_millis()).unwrap_or(i64::MAX),
    })?;
    Ok(())
}

/// What all owners have used since a person, or a new start, last had the order tried anew.
pub(super) fn read(connection: &Connection, order: OrderId) -> rusqlite::Result<BudgetUsed> {
    connection
        .prepare_cached(
            "SELECT step, used_ms FROM budget_used
             WHERE order_id = ?1 AND claim_no > (SELECT fresh_from FROM orders WHERE id = ?1)",
        )?
        .query_map([order.key()], |row| {
            let (step, ms): (String, i64) = (row.get(0)?, row.get(1)?);
            let used = Duration::from_millis(ms.unsigned_abs());
            Ok(SagaCommand::from_name(&step).map(|command| (command, used)))
        })?
        .filter_map(Result::transpose)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Life;
    use crate::shop::contract::ClaimToken;
    use crate::shop::orders::SCHEMA;

    fn charge(claim_no: u32, seconds: u64) -> BudgetUse {
        BudgetUse {
            token: ClaimToken {
                order: OrderId::from_key(7),
                claim_no,
                life: Life::of(1, 0, claim_no),
            },
            command: SagaCommand::Charge,
            used: Duration::from_secs(seconds),
        }
    }

    fn file_with_an_order() -> Connection {
        let file = Connection::open_in_memory().unwrap();
        SCHEMA
            .migrations
            .iter()
            .for_each(|sql| file.execute_batch(sql).unwrap());
        file.execute(
            "INSERT INTO orders
             (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms)
             VALUES (7, 10, 'c', '[]', 0, 'USD', 'm', 1, '1/0/1', 1, 0)",
            [],
        )
        .unwrap();
        file
    }

    #[test]
    fn owners_add_to_it_until_the_order_is_tried_anew() {
        let seconds = Duration::from_secs;
        let file = file_with_an_order();
        let on_charge = || read(&file, OrderId::from_key(7)).unwrap().on(SagaCommand::Charge);
        for used in [1, 2] {
            record(&file, &charge(1, used)).unwrap();
        }
        assert_eq!(on_charge(), seconds(2), "the latest word of one owner");
        file.execute("UPDATE orders SET claim_no = 2", []).unwrap();
        record(&file, &charge(1, 9)).unwrap();
        assert_eq!(
            on_charge(),
            seconds(2),
            "an owner that lost the saga writes nothing"
        );
        record(&file, &charge(2, 3)).unwrap();
        let cancel = BudgetUse {
            command: SagaCommand::Cancel,
            ..charge(2, 4)
        };
        record(&file, &cancel).unwrap();
        assert_eq!(on_charge(), seconds(5));
        file.execute("UPDATE orders SET fresh_from = 2, claim_no = 3", [])
            .unwrap();
        assert_eq!(on_charge(), Duration::ZERO, "whole again");
    }
}
