//! What is spent of a saga's budgets, kept for its next owner.

use std::time::Duration;

use rusqlite::{Connection, named_params};

use crate::saga::{BudgetUsed, SagaCommand};
use crate::shop::contract::{ClaimToken, OrderId};

/// Keeps what this claim has spent on the command, unless the order ended or was claimed meanwhile.
pub(in crate::shop::orders) fn note(
    tx: &Connection,
    token: ClaimToken,
    command: SagaCommand,
    spent: Duration,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO spent (order_id, claim_no, step, ms)
         SELECT id, claim_no, :step, :ms FROM orders WHERE id = :order AND claim_no = :claim_no AND status = 10
         ON CONFLICT DO UPDATE SET ms = excluded.ms",
    )?
    .execute(named_params! {
        ":order": token.order.key(),
        ":claim_no": token.claim_no,
        ":step": command.name(),
        ":ms": i64::try_from(spent.as_millis()).unwrap_or(i64::MAX),
    })?;
    Ok(())
}

/// What all owners have spent since a person, or a new start, last had the order tried anew.
pub(in crate::shop::orders) fn read(connection: &Connection, order: OrderId) -> rusqlite::Result<BudgetUsed> {
    connection
        .prepare_cached(
            "SELECT step, ms FROM spent
             WHERE order_id = ?1 AND claim_no > (SELECT fresh_from FROM orders WHERE id = ?1)",
        )?
        .query_map([order.key()], |row| {
            let (step, ms): (String, i64) = (row.get(0)?, row.get(1)?);
            Ok(SagaCommand::from_name(&step)
                .map(|command| (command, Duration::from_millis(ms.unsigned_abs()))))
        })?
        .filter_map(Result::transpose)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Epoch, Incarnation, Life, Slot};
    use crate::shop::orders::SCHEMA;

    fn token(claim_no: u32) -> ClaimToken {
        let life = Life {
            incarnation: Incarnation(1),
            slot: Slot(0),
            epoch: Epoch(claim_no),
        };
        ClaimToken {
            order: OrderId::from_key(7),
            claim_no,
            life,
        }
    }

    fn file_with_an_order() -> Connection {
        let file = Connection::open_in_memory().unwrap();
        SCHEMA
            .migrations
            .iter()
            .for_each(|sql| file.execute_batch(sql).unwrap());
        file.execute(
            "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, ended_ms)
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
        for spent in [1, 2] {
            note(&file, token(1), SagaCommand::Charge, seconds(spent)).unwrap();
        }
        assert_eq!(on_charge(), seconds(2), "the latest word of one owner");
        file.execute("UPDATE orders SET claim_no = 2", []).unwrap();
        note(&file, token(1), SagaCommand::Charge, seconds(9)).unwrap();
        assert_eq!(on_charge(), seconds(2), "whoever lost it has no say");
        note(&file, token(2), SagaCommand::Charge, seconds(3)).unwrap();
        note(&file, token(2), SagaCommand::Cancel, seconds(4)).unwrap();
        assert_eq!(on_charge(), seconds(5));
        file.execute("UPDATE orders SET fresh_from = 2, claim_no = 3", [])
            .unwrap();
        assert_eq!(on_charge(), Duration::ZERO, "whole again");
    }
}
