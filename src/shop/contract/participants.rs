//! What orders asks of the other two services, and what they answer.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{OrderId, Sku};
use super::storage::StorageError;
use super::timeline::{TimelineEntry, TimelineError};
use crate::base::ids::{HostId, Incarnation, Life};
use crate::base::money::Money;

/// The fencing token of a command: which life sends it for which order, under which claim. A participant that
/// has seen a higher `claim_no` for the order refuses the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimToken {
    /// The order that the command is for.
    pub order: OrderId,
    /// The number of the claim; the first owner has claim 1.
    pub claim_no: u32,
    /// The life that owns the order's saga.
    pub life: Life,
}

/// Lives that may write nothing more, because their sagas are about to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// One life.
    Life(Life),
    /// Every life of an earlier incarnation on that host.
    Before(HostId, Incarnation),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// The command is done and on disk, now or before.
    Done,
    /// The command is not done and never will be; the refusal is on disk, too.
    Refused(CommandRefusal),
    /// Nobody knows whether the command is done. The text is the reason, for the log.
    Unknown(String),
    /// The command was not done, because the participant's own store takes no writes for now (a full disk).
    /// Sending it again costs nothing but time. The text is the reason, for the log.
    Stalled(String),
    /// The participant has seen a higher claim or a fence: the sender owns the saga no more.
    Fenced,
}

impl CommandOutcome {
    /// The outcome of a command whose transaction failed in that service. The command is sent again in any
    /// case.
    #[must_use]
    pub fn of_failure(service: &str, error: &StorageError) -> CommandOutcome {
        let reason = format!("{service}: {error}");
        if error.is_passing() {
            CommandOutcome::Stalled(reason)
        } else {
            CommandOutcome::Unknown(reason)
        }
    }
}

/// Why a participant refuses a command for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandRefusal {
    /// Fewer pieces of an article are available than were ordered.
    OutOfStock {
        /// The article.
        sku: Sku,
        /// How many pieces were ordered.
        requested: u32,
        /// How many pieces were available.
        available: u64,
    },
    /// The provider did not take the money.
    Declined {
        /// The provider's reason for programs (`insufficient_funds`).
        code: String,
        /// The provider's reason for people.
        message: String,
    },
    /// The opposite was commanded before: a reserve after its release, a charge after its cancel.
    Withdrawn,
    /// The opposite is done: a release after the commit, a cancel after the charge.
    Irrevocable,
    /// The command does not fit what the participant knows: a commit of nothing, an article that is gone. The
    /// text says what.
    Senseless(String),
}

/// One item of an order as the customer asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedItem {
    /// The article.
    pub sku: Sku,
    /// How many pieces.
    pub quantity: u32,
}

/// One line of an order: an item with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The article.
    pub sku: Sku,
    /// How many pieces.
    pub quantity: u32,
    /// The price of one piece.
    pub unit_price: Money,
}

/// Why items have no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// There is no such article.
    #[error("there is no article {0}")]
    UnknownSku(Sku),
    /// The article was taken off sale.
    #[error("{0} is not on sale")]
    NotOnSale(Sku),
    /// The prices could not be read.
    #[error("failed to read the prices: {0}")]
    Unavailable(StorageError),
}

/// The money that is to be taken for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeTerms {
    /// How much.
    pub amount: Money,
    /// The provider's name of the means of payment (`pm_card_visa`).
    pub method: Arc<str>,
}

/// A range of orders of which a participant may forget everything, except for those that orders keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepWindow {
    /// The range begins after this order.
    pub after: OrderId,
    /// The range ends before this order.
    pub before: OrderId,
    /// The orders in the range that orders still has: they are under way, or too young.
    pub kept: Arc<[OrderId]>,
}

/// What orders asks of inventory and of payments alike.
pub trait Participant: Clone + Send + Sync + 'static {
    /// Fences off those lives: from now on the participant writes nothing for them. The fence is on disk when
    /// this returns. The error is the reason, in words.
    fn fence(&self, fence: Fence) -> impl Future<Output = Result<(), String>> + Send;
    /// Removes some of what is kept for orders that are gone; what is under way stays. The error is the
    /// reason, in words.
    fn forget(&self, window: SweepWindow) -> impl Future<Output = Result<(), String>> + Send;
    /// Removes some of the participant's events from before that time, in milliseconds since 1970. Nothing is
    /// written when there is none. The error is the reason, in words.
    fn trim_events(&self, before_ms: u64) -> impl Future<Output = Result<(), String>> + Send {
        let _ = before_ms;
        std::future::ready(Ok(()))
    }
    /// Whether the participant, and what it depends on, can write for new work now, or why not. Makes no
    /// write unless an earlier one failed.
    fn accepts_new_work(&self) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// What the participant did for the order.
    fn timeline(
        &self,
        order: OrderId,
    ) -> impl Future<Output = Result<Vec<TimelineEntry>, TimelineError>> + Send;
}

/// Stock. Each command is idempotent per order: sent again, it gets the first answer again.
pub trait Inventory: Participant {
    /// The items with their prices as they are now.
    ///
    /// # Errors
    /// [`QuoteError`].
    fn quote(
        &self,
        items: Vec<RequestedItem>,
    ) -> impl Future<Output = Result<Vec<OrderLine>, QuoteError>> + Send;
    /// Holds the goods of all lines, or of none.
    fn reserve(
        &self,
        token: ClaimToken,
        lines: Arc<[OrderLine]>,
    ) -> impl Future<Output = CommandOutcome> + Send;
    /// Lets go of the goods that are held; a later reserve is refused.
    fn release(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
    /// The goods that are held leave the shelf.
    fn commit(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
    /// Puts goods that left the shelf back, and lets go of goods that are only held; a later reserve is
    /// refused.
    fn give_back(&self, token: ClaimToken) -> impl Future<Output = CommandOutcome> + Send;
}

/// Money. Each command is idempotent per order: sent again, it gets the first answer again.
pub trait Payments: Participant {
    /// Takes the money.
    fn charge(&self, token: ClaimToken, terms: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
    /// Makes sure that no money was taken and none will be.
    fn cancel(&self, token: ClaimToken, terms: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
    /// Makes sure that no money stands: cancels the charge, or gives back, once, what was taken.
    fn refund(&self, token: ClaimToken, terms: ChargeTerms) -> impl Future<Output = CommandOutcome> + Send;
}
