//! What a payment provider can be asked, and the three ways each question ends: done, refused, unknown.
//! Must not know which provider it is; nothing is ever concluded from `Unknown` but that it must be asked again, under the same key.

use std::future::Future;
use std::pin::Pin;

use crate::base::money::Money;

/// An answer on its way. Boxed, so that the provider is chosen at start and faults can be wrapped around it.
pub type ProviderReply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever moves the money. Every call is idempotent under its key: asked again with the same key and parameters, it gives the same
/// answer and moves nothing; with other parameters it refuses.
pub trait Provider: Send + Sync {
    /// Its name in records and messages (`sandbox`).
    fn name(&self) -> &'static str;

    /// Takes the money, at most once per provider key.
    fn charge<'a>(&'a self, request: &'a ChargeRequest) -> ProviderReply<'a, ChargeOutcome>;

    /// Makes sure that no charge under this key will ever succeed, also one that has not arrived yet.
    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome>;

    /// Gives the whole of a charge back, at most once.
    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome>;

    /// Whether calls can be carried out; a provider that is not on this machine has no opinion.
    fn has_room(&self) -> ProviderReply<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Money to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Ours, towards the provider: names this attempt for ever.
    pub provider_key: String,
    /// What it is for.
    pub order_id: String,
    /// How much.
    pub amount: Money,
    /// The provider's name of the means of payment (`pm_card_visa`).
    pub method: String,
}

/// Money to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Names this refund for ever.
    pub refund_key: String,
    /// The key of the charge.
    pub provider_key: String,
}

/// How a charge ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was taken; it stands until refunded.
    Done(Receipt),
    /// The money was not taken, and under this key never will be.
    Refused(ProviderRefusal),
    /// It may have been taken or not, and may yet be. In words, for the timeline.
    Unknown(String),
    /// The call was not carried out and never will be, for a reason on this machine that passes (a full disk).
    Stalled(String),
}

/// How a cancellation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// No money was taken under this key, and never will be.
    Done,
    /// It was taken already: a refund is what can be done now.
    Refused(Receipt),
    /// It may be in force or not.
    Unknown(String),
    /// As [`ChargeOutcome::Stalled`].
    Stalled(String),
}

/// How a refund ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was given back.
    Done(Receipt),
    /// There is nothing to give back.
    Refused(ProviderRefusal),
    /// It may have been given back or not.
    Unknown(String),
    /// As [`ChargeOutcome::Stalled`].
    Stalled(String),
}

/// The provider's own name of what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// As the provider writes it (`ch_…`, `re_…`).
    pub id: String,
}

/// A definite no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// Whose no it is.
    pub kind: RefusalKind,
    /// Stable, for programs (`insufficient_funds`).
    pub code: String,
    /// For people.
    pub message: String,
}

/// Whose no a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The card's issuer: another means of payment, or a new attempt under a new key, may do.
    Declined,
    /// The provider's: the request makes no sense to it (unknown method, a key used with other parameters, nothing to refund).
    Invalid,
    /// Ours: the key was cancelled before.
    Cancelled,
}
