//! The tables of the payments for whoever moves them.

use crate::shop::postgres::{FENCES, MovedTable};

/// All tables.
pub(in crate::shop) const MOVED: &[MovedTable] = &[
    MovedTable::same(
        "payments",
        "order_id, state, claim_no, amount, currency, method, receipt, code, message, at_ms, by, refund, \
         refunded_ms, refunded_by",
        "order_id",
    ),
    MovedTable::other(
        (
            "outbox",
            "number, order_id, state, at_ms, amount, currency",
            "number",
        ),
        "SELECT seq, order_id, state, at_ms, amount, currency FROM outbox ORDER BY seq",
        "INSERT INTO outbox (seq, order_id, state, at_ms, amount, currency) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    ),
    FENCES,
];
