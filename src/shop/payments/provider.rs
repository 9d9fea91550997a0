//! What a payment provider can be asked, and the ways in which each call ends: done, refused, unknown,
//! stalled. It must not know which provider it is. Nothing follows from `Unknown` except that the call must
//! be made again, under the same key.

use std::future::Future;
use std::pin::Pin;

use crate::base::money::Money;
use crate::shop::contract::StorageError;

/// The future of a reply. It is boxed, so that the provider can be chosen at start and faults can be injected
/// around it.
pub type ProviderReply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A service that moves money. Every call is idempotent under its key: made again with the same key and
/// parameters, it gets the same reply and moves nothing; with other parameters it is refused.
pub trait Provider: Send + Sync {
    /// The provider's name in records and messages (`sandbox`).
    fn name(&self) -> &'static str;

    /// Takes the money, at most once per provider key.
    fn charge<'a>(&'a self, request: &'a ChargeRequest) -> ProviderReply<'a, ChargeOutcome>;

    /// Makes sure that no charge under this key will ever succeed, not even one that arrives later.
    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome>;

    /// Gives the whole of a charge back, at most once.
    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome>;

    /// Whether the provider can carry out calls for new work, or why not. Nothing on this machine keeps a
    /// provider on another one from it.
    fn accepts_new_work(&self) -> ProviderReply<'_, Result<(), StorageError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether the provider can carry out calls, found out by a try that changes nothing, or why not, in
    /// words. A provider on another machine is not asked.
    fn probe(&self) -> ProviderReply<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A charge that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// The shop's key for this attempt, which names it for ever.
    pub provider_key: String,
    /// The order that the money is for.
    pub order_id: String,
    /// The amount and its currency.
    pub amount: Money,
    /// The provider's name of the means of payment (`pm_card_visa`).
    pub method: String,
}

/// A refund that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// The shop's key for this refund, which names it for ever.
    pub refund_key: String,
    /// The key of the charge that is given back.
    pub provider_key: String,
}

/// How a charge ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was taken, and stands until it is refunded.
    Done(Receipt),
    /// The money was not taken, and never will be under this key.
    Refused(ProviderRefusal),
    /// The money may have been taken or not, and may still be taken. The text is the reason, for the log.
    Unknown(String),
    /// The call was not carried out and never will be, for a passing reason on this machine (a full disk).
    Stalled(String),
}

/// How a cancellation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// No money was taken under this key, and never will be.
    Done,
    /// The money was taken before; only a refund can help now.
    Refused(Receipt),
    /// The cancellation may be in force or not.
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
    /// The money may have been given back or not.
    Unknown(String),
    /// As [`ChargeOutcome::Stalled`].
    Stalled(String),
}

/// The provider's own name of a charge or a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The name as the provider writes it (`ch_…`, `re_…`).
    pub id: String,
}

/// Why a call was refused for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// Who refuses.
    pub kind: RefusalKind,
    /// The reason for programs (`insufficient_funds`); it never changes its meaning.
    pub code: String,
    /// The reason for people.
    pub message: String,
}

/// Who refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The issuer of the card: another means of payment, or a new attempt under a new key, may succeed.
    Declined,
    /// The provider: the request makes no sense (an unknown method, a key used with other parameters, nothing
    /// to refund).
    Invalid,
    /// The shop itself: the key was cancelled before.
    Cancelled,
}
