//! The table of the ledger for whoever moves it.

use crate::shop::postgres::MovedTable;

/// All tables. A charge comes before its refund.
pub(in crate::shop) const MOVED: &[MovedTable] = &[MovedTable::same(
    "attempt",
    "provider_key, kind, outcome, code, order_id, amount, currency, method, refund_of, at",
    "refund_of IS NOT NULL, provider_key",
)];
