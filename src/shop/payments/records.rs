//! What the payments' reader answers to the audit, to an order's report and to operators. Amounts are as they
//! are stored, so that an audit can find what is wrong with them.

use super::payment::PaymentStatus;
use crate::base::ids::Life;
use crate::shop::contract::OrderId;

/// A payment as the audit reads it.
pub(in crate::shop) struct AuditedPayment<'a> {
    pub(in crate::shop) order: OrderId,
    /// The amount, in minor units.
    pub(in crate::shop) amount: i64,
    pub(in crate::shop) currency: &'a str,
    pub(in crate::shop) method: &'a str,
    /// Whether the money was taken and not given back.
    pub(in crate::shop) stands: bool,
    /// The provider's name of the charge.
    pub(in crate::shop) receipt: Option<&'a str>,
}

/// The payment of one order.
pub(in crate::shop) struct PaymentRecord {
    pub(in crate::shop) status: PaymentStatus,
    pub(in crate::shop) claim_no: u32,
    /// The amount, in minor units.
    pub(in crate::shop) amount: i64,
    pub(in crate::shop) currency: String,
    /// When the payment was decided, in milliseconds since 1970.
    pub(in crate::shop) at_ms: u64,
    /// The life of the worker that recorded the decision.
    pub(in crate::shop) by: Life,
}
