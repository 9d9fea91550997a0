//! The tables of the inventory for whoever moves them.

use crate::shop::postgres::{FENCES, MovedTable};

/// All tables.
pub(in crate::shop) const MOVED: &[MovedTable] = &[
    MovedTable::same(
        "stock",
        "sku, name, amount, currency, on_hand, reserved, received, on_sale, changed_ms, adjusted",
        "sku",
    ),
    MovedTable::same(
        "reservations",
        "order_id, state, claim_no, items, reserved_ms, reserved_by, changed_ms, changed_by, reason",
        "order_id",
    ),
    MovedTable::same("loaded", "what, at_ms", "what"),
    MovedTable::other(
        (
            "outbox",
            "number, at_ms, sku, name, amount, currency, on_hand, on_sale",
            "number",
        ),
        "SELECT seq, at_ms, sku, name, amount, currency, on_hand, on_sale FROM outbox ORDER BY seq",
        "INSERT INTO outbox (seq, at_ms, sku, name, amount, currency, on_hand, on_sale)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    ),
    MovedTable::same(
        "adjustments",
        "number, sku, delta, reason, on_hand, at_ms, key",
        "number",
    ),
    FENCES,
];
