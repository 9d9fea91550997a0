//! What the orders' repository is asked, and what it answers. Must not know how anything is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::domain::{NewOrder, Order, Rejection};
use super::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};
use crate::base::ids::Life;
use crate::saga::{BudgetUsed, SagaCommand};
use crate::shop::contract::{ClaimToken, CustomerId, Fence, OrderId, SweepWindow};

/// A saga that was claimed so often since a person, or a new start, last had it tried anew is parked: this
/// order may be what its owners died of. No clock is used, so that none can be wrong.
pub(super) const MOST_CLAIMS: u32 = 50;

/// Why an order is rejected or parked, as the column `reason` holds it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredReason {
    Rejected(Rejection),
    Parked(String),
}

/// An order that is to be written with its saga and its key.
pub(super) struct PlaceCommand {
    /// The life that is to own the saga.
    pub(super) owner: Life,
    pub(super) order: NewOrder,
    /// The order's id; the next one that is free is taken when it is taken.
    pub(super) wanted: OrderId,
    pub(super) key: Option<(IdempotencyKey, KeyRetention)>,
}

/// What came of a [`PlaceCommand`].
pub(super) enum Placement {
    /// The order was placed under this id.
    Placed(OrderId),
    /// The key is taken, and nothing was written.
    KeyTaken(KeyMatch),
    /// The owner is fenced off, and nothing was written.
    Fenced,
}

/// What came of recording that an order ended or was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordOutcome {
    /// The record stands, written now or before.
    Stands,
    /// Another life claimed the saga, and nothing was written.
    Fenced,
    /// The order ended otherwise before. That cannot be, and must not be hidden.
    Contradicted,
}

/// What the orders' records say of a life that a participant has fenced off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    /// The life is fenced off here, too.
    pub(super) is_fenced: bool,
    /// The life still owns the order's saga, and the saga has not ended.
    pub(super) is_owner: bool,
}

/// A command whose outcome was unknown.
pub(super) struct UnknownAttempt {
    pub(super) token: ClaimToken,
    pub(super) step: &'static str,
    pub(super) reason: String,
    /// The time until the next try.
    pub(super) wait: Duration,
    /// The time until the command is tried no more.
    pub(super) budget_left: Duration,
}

/// How much of the budget of a command one claim has used.
pub(super) struct BudgetUse {
    pub(super) token: ClaimToken,
    pub(super) command: SagaCommand,
    pub(super) used: Duration,
}

/// Whether there are sagas to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimable {
    /// There is nothing to claim.
    Nothing,
    /// There is something to claim.
    Something,
    /// There is something to claim, and the life that would claim it is fenced off itself.
    ButFenced,
}

/// Sagas that are to get a new owner.
#[derive(Clone, Copy)]
pub(super) struct ClaimCommand {
    /// The lives that are fenced off and own them.
    pub(super) of: Fence,
    pub(super) new_owner: Life,
    /// How many sagas are claimed at most.
    pub(super) at_most: usize,
}

/// What came of a [`ClaimCommand`].
pub(super) enum ClaimOutcome {
    /// The sagas that were claimed; none when none is left.
    Claimed(ClaimedBatch),
    /// The new owner is fenced off itself, and nothing was claimed.
    Fenced,
}

/// The sagas of one claim.
#[derive(Default)]
pub(super) struct ClaimedBatch {
    /// Sagas that the new owner has to run.
    pub(super) orders: Vec<ClaimedOrder>,
    /// Orders that were parked, because too many owners died of them.
    pub(super) parked: Vec<OrderId>,
}

impl ClaimedBatch {
    pub(super) fn len(&self) -> usize {
        self.orders.len() + self.parked.len()
    }
}

/// An order whose saga was claimed.
pub(super) struct ClaimedOrder {
    /// The order as it is after the claim.
    pub(super) order: Order,
    /// How much of the budgets the earlier owners used.
    pub(super) budget_used: BudgetUsed,
}

/// One round of retention.
pub(super) struct SweepCommand {
    /// Orders that were placed before this one may be removed,
    pub(super) horizon: OrderId,
    /// if they ended before this time, in milliseconds since 1970.
    pub(super) ended_before_ms: u64,
    /// Events from before this time may be removed.
    pub(super) events_before_ms: u64,
    /// The window of the participants begins after this order.
    pub(super) after: OrderId,
    pub(super) keys: KeyRetention,
}

/// What came of a [`SweepCommand`].
pub(super) struct SweepRound {
    /// How many keys and orders were removed.
    pub(super) removed: usize,
    /// What the participants may forget.
    pub(super) window: SweepWindow,
    /// The order after which the next window begins.
    pub(super) next_after: OrderId,
}

/// One claim of a saga after its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) struct TakeoverRecord {
    pub(in crate::shop) claim_no: u32,
    pub(in crate::shop) from: Life,
    pub(in crate::shop) to: Life,
    /// When, in milliseconds since 1970.
    pub(in crate::shop) at_ms: u64,
}

/// An order with the claims of its saga, in order.
pub(super) struct OrderHistory {
    pub(super) order: Order,
    pub(super) takeovers: Vec<TakeoverRecord>,
}

/// The orders that a list shows.
pub(super) struct OrdersPage {
    /// Only those of this customer.
    pub(super) customer: Option<CustomerId>,
    /// Only those before this order.
    pub(super) before: OrderId,
    /// How many at most.
    pub(super) limit: usize,
}
