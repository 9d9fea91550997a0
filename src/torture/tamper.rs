//! The test of the verdict: changes one record of a stopped cluster, as a bug would have. The verdict must
//! then report a violation.

use std::path::Path;

use clap::ValueEnum;
use rusqlite::Connection;

use crate::shop::{inventory, orders, payments, sandbox};

/// The record that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tampering {
    /// One piece of an article vanishes from the stock.
    Stock,
    /// The provider took the money of a confirmed order twice.
    Charge,
    /// The provider took the money of an order that was rejected.
    Rejected,
    /// A terminal event is missing.
    Event,
    /// A confirmed order is gone.
    Order,
    /// An order never ended.
    Pending,
    /// A confirmed order costs more than its client was told, in every file.
    Total,
    /// A line of a confirmed order costs less than the order says.
    Price,
    /// A confirmed order is in another currency.
    Currency,
    /// An article that was sold is gone.
    Article,
    /// An event is of an order that never existed.
    Stranger,
    /// A confirmed order has another customer.
    Customer,
    /// The client's key no longer leads to its order.
    Key,
}

impl Tampering {
    /// Changes the record.
    ///
    /// # Errors
    /// SQLite's; and when there is no such record.
    pub(super) fn tamper(self, data: &Path) -> Result<(), String> {
        for (file, sql) in self.statements() {
            let changed = Connection::open(data.join(file)).and_then(|database| {
                database.execute_batch(sql)?;
                Ok(database.changes())
            });
            match changed {
                Ok(0) => return Err(format!("there was nothing to tamper with in {file}")),
                Ok(_) => {}
                Err(error) => return Err(format!("failed to tamper with {file}: {error}")),
            }
        }
        Ok(())
    }

    fn statements(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Tampering::Stock => &[(
                inventory::FILE,
                "UPDATE stock SET on_hand = on_hand - 1 WHERE sku = 'article-00'",
            )],
            Tampering::Charge => &[(
                sandbox::FILE,
                "INSERT INTO attempt SELECT order_id || '.2', kind, outcome, code, order_id, amount, currency, method, refund_of, at
                 FROM attempt WHERE kind = 'charge' AND outcome = 'succeeded' LIMIT 1",
            )],
            Tampering::Rejected => &[(
                sandbox::FILE,
                "INSERT INTO attempt SELECT order_id || '.2', kind, 'succeeded', NULL, order_id, amount, currency, method, refund_of, at
                 FROM attempt WHERE kind = 'charge' AND outcome = 'declined' LIMIT 1",
            )],
            Tampering::Event => &[(
                orders::FILE,
                "DELETE FROM outbox WHERE seq = (SELECT (min(seq) + max(seq)) / 2 FROM outbox)",
            )],
            Tampering::Order => &[(
                orders::FILE,
                "DELETE FROM orders WHERE id = (SELECT min(id) FROM orders WHERE status = 20)",
            )],
            Tampering::Pending => &[(
                orders::FILE,
                "UPDATE orders SET status = 10 WHERE id = (SELECT max(id) FROM orders)",
            )],
            Tampering::Total => &[
                (
                    orders::FILE,
                    "UPDATE orders SET amount = amount + 1 WHERE id = (SELECT min(id) FROM orders WHERE \
                     status = 20)",
                ),
                (
                    payments::FILE,
                    "UPDATE payments SET amount = amount + 1
                     WHERE order_id = (SELECT min(order_id) FROM payments WHERE state = 10 AND refund IS NULL)",
                ),
                (
                    sandbox::FILE,
                    "DROP TRIGGER attempt_is_never_changed;
                     UPDATE attempt SET amount = amount + 1 WHERE provider_key =
                         (SELECT provider_key FROM standing_charge ORDER BY order_id LIMIT 1)",
                ),
            ],
            Tampering::Price => &[(
                orders::FILE,
                "UPDATE orders SET items = json_set(items, '$[0][2]', 1) WHERE id = (SELECT min(id) FROM \
                 orders WHERE status = 20)",
            )],
            Tampering::Currency => &[(
                orders::FILE,
                "UPDATE orders SET currency = 'EUR' WHERE id = (SELECT min(id) FROM orders WHERE status = \
                 20)",
            )],
            Tampering::Article => &[(
                inventory::FILE,
                "DELETE FROM stock WHERE sku = (SELECT items ->> '$[0][0]' FROM reservations WHERE state = \
                 20 LIMIT 1)",
            )],
            Tampering::Stranger => &[(
                orders::FILE,
                "INSERT INTO outbox (seq, order_id, event, at_ms)
                 SELECT max(seq) + 1, 999, 'order.confirmed', 1 FROM outbox",
            )],
            Tampering::Customer => &[(
                orders::FILE,
                "UPDATE orders SET customer_id = 'mallory' WHERE id = (SELECT min(id) FROM orders WHERE \
                 status = 20)",
            )],
            Tampering::Key => &[(
                orders::FILE,
                "DELETE FROM idempotency_keys WHERE order_id = (SELECT min(id) FROM orders WHERE status = \
                 20)",
            )],
        }
    }
}
