//! What the inventory's reader answers to the audit, to an order's report and to operators. Quantities and
//! lines are as they are stored, so that an audit can find what is wrong with them.

use super::reservation::ReservationState;
use crate::base::ids::Life;
use crate::shop::contract::OrderId;

/// A reservation as the audit reads it.
pub(in crate::shop) struct AuditedReservation<'a> {
    pub(in crate::shop) order: OrderId,
    pub(in crate::shop) state: ReservationState,
    /// The lines: `[[sku, quantity], ...]`.
    pub(in crate::shop) items: &'a str,
}

/// The stock of one article, and what its adjustments make.
pub(in crate::shop) struct StockRecord {
    pub(in crate::shop) sku: String,
    /// `None` when there are adjustments and no article.
    pub(in crate::shop) shelf: Option<ShelfRecord>,
    /// The sum of the adjustments that are kept.
    pub(in crate::shop) adjustments: i64,
}

/// The counts of one article.
pub(in crate::shop) struct ShelfRecord {
    pub(in crate::shop) on_hand: i64,
    pub(in crate::shop) reserved: i64,
    /// Everything that was ever put on the shelf.
    pub(in crate::shop) received: i64,
    /// The sum of the adjustments, as it is kept beside the counts.
    pub(in crate::shop) adjusted: i64,
}

/// The reservation of one order. Times are milliseconds since 1970.
pub(in crate::shop) struct ReservationRecord {
    pub(in crate::shop) state: ReservationState,
    pub(in crate::shop) claim_no: u32,
    /// The lines: `[[sku, quantity], ...]`.
    pub(in crate::shop) items: String,
    pub(in crate::shop) reserved_ms: u64,
    pub(in crate::shop) reserved_by: Life,
    /// When the state last changed.
    pub(in crate::shop) changed_ms: u64,
    pub(in crate::shop) changed_by: Life,
    /// Why the reservation was refused, or what was returned, as JSON.
    pub(in crate::shop) reason: Option<String>,
}

impl ReservationRecord {
    /// Whether the goods left the shelf, or were let go, after they were reserved.
    pub(in crate::shop) fn has_ended(&self) -> bool {
        matches!(
            self.state,
            ReservationState::Committed | ReservationState::Released
        )
    }
}
