//! What orders asks of the other two services, and what they answer.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{OrderId, Sku};
use super::timeline::{TimelineEntry, TimelineError};
use crate::base::ids::{Incarnation, Life};
use crate::base::money::Money;

/// On whose behalf a command is sent. A participant that has seen a higher `claim_no` for the order refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimToken {
    /// For which order.
    pub order: OrderId,
    /// How often its saga was claimed.
    pub claim_no: u32,
    /// By whom.
    pub life: Life,
}

/// Who may write nothing more, because what he was doing is about to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// One life.
    Life(Life),
    /// Every life of an earlier incarnation.
    Before(Incarnation),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// It is done and on disk, now or before.
    Done,
    /// It is not done and never will be; that is on disk too.
    Refused(CommandRefusal),
    /// Nobody knows; in words, for the log.
    Unknown(String),
    /// It was not done: the service's own store takes no writes for now (a full disk). Whoever asks again loses nothing but time.
    Stalled(String),
    /// A higher claim or a fence was seen: whoever asked owns the saga no more.
    Fenced,
}

/// A definite no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandRefusal {
    /// Less of it is available than was asked for.
    OutOfStock {
        /// Of which article.
        sku: Sku,
        /// How many were asked for.
        requested: u32,
        /// How many there were.
        available: u64,
    },
    /// The money was not taken.
    Declined {
        /// For programs (`insufficient_funds`).
        code: String,
        /// For people.
        message: String,
    },
    /// The opposite was commanded before: a reserve after its release, a charge after its cancel.
    Withdrawn,
    /// The opposite is done: a release after the commit, a cancel after the charge.
    Irrevocable,
    /// The command does not fit what the participant knows (a commit of nothing, a SKU that is gone).
    Senseless(String),
}

/// One line of an order as the customer wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedItem {
    /// Which article.
    pub sku: Sku,
    /// How many.
    pub quantity: u32,
}

/// One line of an order, priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// Which article.
    pub sku: Sku,
    /// How many.
    pub quantity: u32,
    /// For each.
    pub unit_price: Money,
}

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// There is no such article.
    #[error("there is no article {0}")]
    UnknownSku(Sku),
    /// The store could not be read.
    #[error("failed to read the prices: {0}")]
    Unavailable(String),
}

/// Money to be taken for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeTerms {
    /// How much.
    pub amount: Money,
    /// The provider's name of the means of payment (`pm_card_visa`).
    pub method: Arc<str>,
}

/// What orders asks of either of the other two, on no order's behalf or about one.
pub trait Participant: Clone + Send + Sync + 'static {
    /// From now on nothing is written for those lives; on disk when this returns. The error says why not.
    fn fence(&self, fence: Fence) -> impl Future<Output = Result<(), String>> + Send;
    /// Removes some of what is kept for orders between these two, but for `kept`; what is under way stays. The error says why not.
    fn forget(
        &self,
        after: OrderId,
        before: OrderId,
        kept: Arc<[OrderId]>,
    ) -> impl Future<Output = Result<(), String>> + Send;
    /// Whether it, and whoever it depends on, can write at the moment; without a write when nothing says otherwise.
    fn has_room(&self) -> impl Future<Output = bool> + Send;
    /// What it did for the order.
    fn story(&self, order: OrderId)
    -> impl Future<Output = Result<Vec<TimelineEntry>, TimelineError>> + Send;
}

/// Stock. Each command is idempotent per order and answers again what it answered first.
pub trait Inventory: Participant {
    /// What these cost now. A point lookup per line, on the caller's thread.
    ///
    /// # Errors
    /// [`QuoteError`].
    fn quote(&self, wanted: &[RequestedItem]) -> Result<Vec<OrderLine>, QuoteError>;
    /// Holds all of the lines, or none.
    fn reserve(
        &self,
        token: ClaimToken,
        lines: Arc<[OrderLine]>,
    ) -> impl Future<Output = CommandOutcome> + Send;
    /// Lets go of what is held; a later reserve is refused.
    fn release(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
    /// What is held leaves the shelf.
    fn commit(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
    /// What left the shelf is put back, what is only held is let go, and a later reserve is refused.
    fn give_back(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
}

/// Money. Each command is idempotent per order and answers again what it answered first.
pub trait Payments: Participant {
    /// Takes the money.
    fn charge(&self, token: ClaimToken, charge: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
    /// Makes sure that none was and none will be taken.
    fn cancel(&self, token: ClaimToken, charge: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
    /// Makes sure that none stands: as `cancel`, and what was taken is given back, once.
    fn refund(&self, token: ClaimToken, charge: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
}
