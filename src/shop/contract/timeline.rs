//! What each service did for an order: the entries that make an order's timeline, and the one order in which
//! they are told.

use serde::Serialize;

use crate::base::ids::Life;

/// The service that acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceName {
    /// Orders: placing, claims, the end of the order.
    Orders,
    /// Inventory: the goods.
    Inventory,
    /// Payments: the money.
    Payments,
}

impl ServiceName {
    /// The name in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ServiceName::Orders => "orders",
            ServiceName::Inventory => "inventory",
            ServiceName::Payments => "payments",
        }
    }
}

/// One thing that happened to an order and is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// When, in milliseconds since 1970 by the shop's steady clock.
    #[serde(skip)]
    pub at_ms: u64,
    /// The service that acted.
    pub service: ServiceName,
    /// The step (`reserve`).
    pub step: &'static str,
    /// How the step ended (`done`, `refused`).
    pub outcome: &'static str,
    /// The life of the worker that acted (`7/0/3`).
    pub worker: Life,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The id of the request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why a service could not read what it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read what was done for the order: {0}")]
pub struct TimelineError(pub String);

/// Where an entry stands in the timeline of its order. Entries are told by time. What has the same time is
/// told by the claim under which it was done, and then in the order in which a saga does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelinePosition {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The claim under which the entry was made.
    pub claim_no: u32,
    /// What was done.
    pub step: TimelineStep,
    /// Whose record it is.
    pub source: TimelineSource,
}

/// What was done for an order, in the order in which a saga does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimelineStep {
    /// A new owner claimed the saga.
    Claim,
    /// The order was placed.
    Place,
    /// The goods were reserved, or could not be.
    Reserve,
    /// The money was taken, declined, or will never be taken.
    Charge,
    /// The goods left the shelf.
    Commit,
    /// The goods were let go or put back.
    Release,
    /// The money was given back; or, when a person gave up the order, no money was taken.
    Refund,
    /// An operator decided about the order.
    Decide,
    /// The order was confirmed, rejected, or parked.
    End,
}

/// Whose record an entry is, in the order in which the records of one step are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimelineSource {
    /// An attempt whose outcome was unknown.
    Attempt,
    /// The provider's ledger.
    Provider,
    /// The service.
    Service,
    /// The event of a step.
    Event,
}

impl TimelineStep {
    /// The step of a command, or of an entry of a service, by its name. A person who gives up an order has
    /// its charge cancelled where it would be refunded.
    #[must_use]
    pub fn from_name(name: &str, is_given_up: bool) -> TimelineStep {
        match name {
            "claim" => TimelineStep::Claim,
            "place" => TimelineStep::Place,
            "reserve" => TimelineStep::Reserve,
            "charge" => TimelineStep::Charge,
            "cancel" if !is_given_up => TimelineStep::Charge,
            "cancel" | "refund" => TimelineStep::Refund,
            "commit" => TimelineStep::Commit,
            "release" | "return" => TimelineStep::Release,
            _ => TimelineStep::End,
        }
    }
}

/// Which life made which claim of an order's saga.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimsByLife(Vec<(Life, u32)>);

impl ClaimsByLife {
    /// The last claim that the life made. A life that is not in it made the first claim.
    #[must_use]
    pub fn of(&self, life: Life) -> u32 {
        let claims = self.0.iter().filter(|(owner, _)| *owner == life);
        claims.map(|(_, claim_no)| *claim_no).max().unwrap_or(1)
    }
}

impl FromIterator<(Life, u32)> for ClaimsByLife {
    fn from_iter<I: IntoIterator<Item = (Life, u32)>>(claims: I) -> ClaimsByLife {
        ClaimsByLife(claims.into_iter().collect())
    }
}
