//! What the orders' reader answers to the audit, to an order's report and to operators. Amounts and lines are
//! as they are stored, so that an audit can find what is wrong with them.

use super::domain::OrderStatus;
use super::repository::TakeoverRecord;
use crate::base::ids::Life;
use crate::shop::contract::OrderId;

/// An order as the audit reads it.
pub(in crate::shop) struct AuditedOrder<'a> {
    pub(in crate::shop) id: OrderId,
    pub(in crate::shop) status: OrderStatus,
    /// The total, in minor units.
    pub(in crate::shop) amount: i64,
    pub(in crate::shop) currency: &'a str,
    pub(in crate::shop) method: &'a str,
    /// The lines: `[[sku, quantity, unit price], ...]`.
    pub(in crate::shop) items: &'a str,
    /// How many terminal events the order has.
    pub(in crate::shop) events: u32,
    pub(in crate::shop) first_event: Option<&'a str>,
    /// The order ended so long ago that its event may have been removed.
    pub(in crate::shop) may_lack_event: bool,
}

/// What the audit reads besides the orders, in the same snapshot.
pub(in crate::shop) struct OrdersAudit {
    /// How many events there are.
    pub(in crate::shop) events: i64,
    /// How many numbers lie from the first event's to the last one's.
    pub(in crate::shop) event_numbers: i64,
    /// Events of orders that do not exist and were not removed by retention.
    pub(in crate::shop) foreign_events: Vec<ForeignEvent>,
    /// Idempotency keys of orders that do not exist, and keys whose hash has a wrong length.
    pub(in crate::shop) bad_keys: Vec<BadKey>,
}

/// An event of an order that does not exist.
pub(in crate::shop) struct ForeignEvent {
    pub(in crate::shop) seq: i64,
    pub(in crate::shop) event: String,
    pub(in crate::shop) order: OrderId,
}

/// An idempotency key that is of no use.
pub(in crate::shop) struct BadKey {
    pub(in crate::shop) key: String,
    pub(in crate::shop) order: OrderId,
    /// Whether the order does not exist.
    pub(in crate::shop) is_foreign: bool,
    /// The length of the hash.
    pub(in crate::shop) hash_bytes: i64,
}

/// How far retention has come.
#[derive(Clone, Copy)]
pub(in crate::shop) struct RetentionRange {
    /// Ended orders before this one are removed.
    pub(in crate::shop) horizon: OrderId,
    /// The oldest order that there is.
    pub(in crate::shop) oldest: OrderId,
    /// The newest order that there is.
    pub(in crate::shop) newest: OrderId,
}

/// Where an order stands.
pub(in crate::shop) struct OrderStanding {
    pub(in crate::shop) status: OrderStatus,
    pub(in crate::shop) owner: Life,
    pub(in crate::shop) claim_no: u32,
    /// The version of the saga's definition.
    pub(in crate::shop) version: u32,
    /// When the status last changed, in milliseconds since 1970.
    pub(in crate::shop) changed_ms: u64,
    /// Why the order is rejected or parked, as JSON.
    pub(in crate::shop) reason: Option<String>,
    /// Whether a person gave up the order.
    pub(in crate::shop) is_given_up: bool,
}

/// Everything that is stored about one order.
pub(in crate::shop) struct OrderDetails {
    pub(in crate::shop) customer: String,
    /// The lines: `[[sku, quantity, unit price], ...]`.
    pub(in crate::shop) items: String,
    /// The total, in minor units.
    pub(in crate::shop) amount: i64,
    pub(in crate::shop) currency: String,
    pub(in crate::shop) method: String,
    /// The id of the request that placed the order.
    pub(in crate::shop) request_id: Option<String>,
    pub(in crate::shop) standing: OrderStanding,
    pub(in crate::shop) takeovers: Vec<TakeoverRecord>,
    pub(in crate::shop) attempts: Vec<AttemptRecord>,
    pub(in crate::shop) interventions: Vec<InterventionRecord>,
    pub(in crate::shop) events: Vec<EventRecord>,
}

/// The attempts of one step under one claim whose outcomes were unknown. Times are milliseconds since 1970.
pub(in crate::shop) struct AttemptRecord {
    pub(in crate::shop) step: String,
    pub(in crate::shop) claim_no: u32,
    pub(in crate::shop) worker: Life,
    /// How many attempts there were.
    pub(in crate::shop) attempts: u32,
    pub(in crate::shop) first_ms: u64,
    pub(in crate::shop) last_ms: u64,
    /// When the step is tried again.
    pub(in crate::shop) next_ms: u64,
    /// When the step is tried no more.
    pub(in crate::shop) until_ms: u64,
    /// The reason of the last attempt.
    pub(in crate::shop) reason: String,
}

/// An operator's decision.
pub(in crate::shop) struct InterventionRecord {
    /// When, in milliseconds since 1970.
    pub(in crate::shop) at_ms: u64,
    pub(in crate::shop) act: String,
    pub(in crate::shop) who: String,
    pub(in crate::shop) reason: String,
}

/// A terminal event of the order.
pub(in crate::shop) struct EventRecord {
    pub(in crate::shop) seq: i64,
    pub(in crate::shop) event: String,
    /// When, in milliseconds since 1970.
    pub(in crate::shop) at_ms: u64,
}

/// Which orders an operator wants to see.
pub(in crate::shop) struct ListedOrdersQuery {
    pub(in crate::shop) status: StatusFilter,
    /// Only orders after this one.
    pub(in crate::shop) after: Option<OrderId>,
    /// Only orders before this one.
    pub(in crate::shop) before: OrderId,
    /// Only orders of this owner: a life (`7/0/3`), or a slot or an incarnation of it (`7/0`, `7`).
    pub(in crate::shop) owner: Option<String>,
    /// Only orders of this version of the saga's definition.
    pub(in crate::shop) version: Option<u32>,
    pub(in crate::shop) customer: Option<String>,
    /// How many orders at most.
    pub(in crate::shop) limit: u32,
}

/// Orders by their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum StatusFilter {
    /// Orders that have not ended.
    Unfinished,
    /// Orders of this status.
    Only(OrderStatus),
}

/// An order as an operator sees it in a list.
pub(in crate::shop) struct ListedOrder {
    pub(in crate::shop) id: OrderId,
    pub(in crate::shop) customer: String,
    pub(in crate::shop) standing: OrderStanding,
    /// Why a person gave up the order.
    pub(in crate::shop) given_up: Option<String>,
}
