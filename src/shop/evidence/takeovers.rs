//! How long sagas stood still when their owner died, read from the services' databases: which worker took
//! which saga from which other worker, and when another worker wrote the saga's next step. The bench and the
//! torture measure takeovers by it.
//!
//! A time is taken inside the transaction that writes it, and the transaction commits a little later. The end
//! of the order is written only after every earlier step was on disk, so it bounds the difference.

use std::path::Path;

use super::audit::{attach, open};
use crate::shop::contract::OrderId;
use crate::shop::{inventory, orders, payments};

/// One saga that changed hands. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The order.
    pub order: OrderId,
    /// The life that owned the saga before (`7/0/3`).
    pub from: String,
    /// The life that claimed the saga.
    pub to: String,
    /// When the saga was claimed.
    pub claimed_ms: u64,
    /// When another life than `from` wrote the next step; `None` when none has.
    pub next_step_ms: Option<u64>,
    /// When the order ended; `None` while it has not.
    pub ended_ms: Option<u64>,
}

const READ: &str = "
SELECT order_id, from_owner, to_owner, at_ms,
       (SELECT min(step_ms) FROM (
            SELECT reserved_ms AS step_ms, reserved_by AS by FROM inventory.reservations AS r WHERE r.order_id = t.order_id
            UNION ALL SELECT ended_ms, coalesce(ended_by, reserved_by) FROM inventory.reservations AS r
                WHERE r.order_id = t.order_id AND state IN (20, 30)
            UNION ALL SELECT p.at_ms, by FROM payments.payments AS p WHERE p.order_id = t.order_id
            UNION ALL SELECT ended_ms, owner FROM orders WHERE id = t.order_id AND status >= 20)
        WHERE step_ms >= t.at_ms AND by <> t.from_owner),
       (SELECT ended_ms FROM orders WHERE id = t.order_id AND status >= 20)
FROM takeovers AS t";

/// Reads every takeover that the databases under `data_dir` still have.
///
/// # Errors
/// SQLite's, when a file cannot be read.
pub fn read(data_dir: &Path) -> rusqlite::Result<Vec<Takeover>> {
    let connection = open(&data_dir.join(orders::FILE))?;
    attach(&connection, &data_dir.join(inventory::FILE), "inventory")?;
    attach(&connection, &data_dir.join(payments::FILE), "payments")?;
    connection
        .prepare(READ)?
        .query_map([], |row| {
            Ok(Takeover {
                order: OrderId::from_key(row.get(0)?),
                from: row.get(1)?,
                to: row.get(2)?,
                claimed_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                next_step_ms: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
                ended_ms: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
            })
        })?
        .collect()
}
