//! The payments as others hold them: the contract's commands over a provider, and what the routes ask.

use std::sync::Arc;

use super::provider::{CancelOutcome, ChargeOutcome, ChargeRequest, Provider, RefundOutcome, RefundRequest};
use super::sqlite::payments::{self as record, Payment, PaymentOutcome, PaymentStatus};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Fence, OrderId, Participant, Payments,
    TimelineEntry, TimelineError,
};
use crate::shop::recovery::clock::now_ms;
use crate::shop::recovery::fences;
use crate::shop::upkeep;
use crate::store::{Admission, ReadError, Store, Tx};

/// The payments. Cheap to clone.
#[derive(Clone)]
pub struct PaymentsService {
    store: Store,
    provider: Arc<dyn Provider>,
}

impl PaymentsService {
    /// Over a store that was opened with this service's schema, with that provider.
    #[must_use]
    pub fn new(store: Store, provider: Arc<dyn Provider>) -> PaymentsService {
        PaymentsService { store, provider }
    }

    /// One payment.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn of_order(&self, order: OrderId) -> Result<Option<Payment>, ReadError> {
        self.store.peek(|connection| record::find(connection, order))
    }

    /// At most `limit` payments of orders before `before`, the latest first.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn latest(&self, before: OrderId, limit: usize) -> Result<Vec<Payment>, ReadError> {
        self.store
            .read(move |connection| record::list(connection, before, limit))
            .await
    }

    /// Whether the store commits.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        self.store.probe().await
    }

    /// Whether a later owner was here already. Only saves a call: what is written afterwards is checked again under the lock.
    fn is_fenced(&self, token: ClaimToken) -> bool {
        let noted = self.store.peek(|connection| {
            Ok((
                fences::bars(connection, token.life)?,
                record::claim_no(connection, token.order)?,
            ))
        });
        matches!(noted, Ok((barred, noted)) if barred || noted > Some(token.claim_no))
    }

    async fn write_down(
        &self,
        token: ClaimToken,
        charge: ChargeTerms,
        status: PaymentStatus,
    ) -> Result<PaymentOutcome, CommandOutcome> {
        let job = move |tx: &Tx<'_>| match fences::bars(tx, token.life)? {
            true => Ok(PaymentOutcome::Fenced),
            false => record::write(tx, token, &charge, status, now_ms()),
        };
        let written = self
            .store
            .write::<_, rusqlite::Error>(Admission::Continue, job)
            .await;
        written.map_err(|error| upkeep::outcome("payments", &error))
    }
}

impl PaymentsService {
    async fn give_back(&self, token: ClaimToken) -> CommandOutcome {
        let key = provider_key(token.order);
        let request = RefundRequest {
            refund_key: format!("{key}.refund"),
            provider_key: key,
        };
        let receipt = match self.provider.refund(&request).await {
            RefundOutcome::Done(receipt) => receipt,
            RefundOutcome::Refused(refusal) => {
                let why = format!("the provider refuses the refund: {}", refusal.message);
                return CommandOutcome::Refused(CommandRefusal::Senseless(why));
            }
            RefundOutcome::Unknown(reason) => return CommandOutcome::Unknown(reason),
            RefundOutcome::Stalled(reason) => return CommandOutcome::Stalled(reason),
        };
        let job = move |tx: &Tx<'_>| match fences::bars(tx, token.life)? {
            true => Ok(PaymentOutcome::Fenced),
            false => record::refund(tx, token, &receipt.id, now_ms()),
        };
        let written = self.store.write(Admission::Continue, job).await;
        match written {
            Ok(PaymentOutcome::Stands(PaymentStatus::Refunded { .. })) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(
                PaymentStatus::Succeeded { .. } | PaymentStatus::Declined { .. } | PaymentStatus::Cancelled,
            )) => CommandOutcome::Unknown("payments: the refund is not in the book".to_owned()),
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(error) => upkeep::outcome("payments", &error),
        }
    }
}

/// The attempt is the first and only one: a decline ends the order, and nothing else may start another.
fn provider_key(order: OrderId) -> String {
    format!("{order}.1")
}

impl Participant for PaymentsService {
    async fn fence(&self, fence: Fence) -> Result<(), String> {
        let raise = move |tx: &Tx<'_>| fences::raise(tx, fence);
        upkeep::write(&self.store, "payments", raise).await
    }

    async fn forget(&self, after: OrderId, before: OrderId, kept: Arc<[OrderId]>) -> Result<(), String> {
        let forget = move |tx: &Tx<'_>| record::forget(tx, after, before, &kept);
        upkeep::write(&self.store, "payments", forget).await
    }

    async fn has_room(&self) -> bool {
        self.store.has_room().await && self.provider.has_room().await
    }

    async fn story(&self, order: OrderId) -> Result<Vec<TimelineEntry>, TimelineError> {
        let payment = self
            .of_order(order)
            .map_err(|error| TimelineError(error.to_string()))?;
        Ok(payment.map(Payment::entries).unwrap_or_default())
    }
}

impl Payments for PaymentsService {
    async fn charge(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        if self.is_fenced(token) {
            return CommandOutcome::Fenced;
        }
        let request = ChargeRequest {
            provider_key: provider_key(token.order),
            order_id: token.order.to_string(),
            amount: charge.amount,
            method: charge.method.to_string(),
        };
        let status = match self.provider.charge(&request).await {
            ChargeOutcome::Done(receipt) => PaymentStatus::Succeeded { receipt: receipt.id },
            ChargeOutcome::Refused(refusal) if refusal.kind == super::provider::RefusalKind::Cancelled => {
                PaymentStatus::Cancelled
            }
            ChargeOutcome::Refused(refusal) => PaymentStatus::Declined {
                code: refusal.code,
                message: refusal.message,
            },
            ChargeOutcome::Unknown(reason) => return CommandOutcome::Unknown(reason),
            ChargeOutcome::Stalled(reason) => return CommandOutcome::Stalled(reason),
        };
        match self.write_down(token, charge, status).await {
            Ok(PaymentOutcome::Stands(PaymentStatus::Succeeded { .. })) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(PaymentStatus::Declined { code, message })) => {
                CommandOutcome::Refused(CommandRefusal::Declined { code, message })
            }
            Ok(PaymentOutcome::Stands(PaymentStatus::Cancelled | PaymentStatus::Refunded { .. })) => {
                CommandOutcome::Refused(CommandRefusal::Withdrawn)
            }
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(unwritten) => unwritten,
        }
    }

    async fn cancel(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        if self.is_fenced(token) {
            return CommandOutcome::Fenced;
        }
        let status = match self.provider.cancel(&provider_key(token.order)).await {
            CancelOutcome::Done => PaymentStatus::Cancelled,
            CancelOutcome::Refused(receipt) => PaymentStatus::Succeeded { receipt: receipt.id },
            CancelOutcome::Unknown(reason) => return CommandOutcome::Unknown(reason),
            CancelOutcome::Stalled(reason) => return CommandOutcome::Stalled(reason),
        };
        match self.write_down(token, charge, status).await {
            Ok(PaymentOutcome::Stands(
                PaymentStatus::Declined { .. } | PaymentStatus::Cancelled | PaymentStatus::Refunded { .. },
            )) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(PaymentStatus::Succeeded { .. })) => {
                CommandOutcome::Refused(CommandRefusal::Irrevocable)
            }
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(unwritten) => unwritten,
        }
    }

    async fn refund(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        // The cancel goes first: it says for certain whether there is anything to give back, and shuts the door for a late charge.
        match self.cancel(token, charge).await {
            CommandOutcome::Refused(CommandRefusal::Irrevocable) => self.give_back(token).await,
            settled @ (CommandOutcome::Done
            | CommandOutcome::Refused(_)
            | CommandOutcome::Unknown(_)
            | CommandOutcome::Stalled(_)
            | CommandOutcome::Fenced) => settled,
        }
    }
}

impl std::fmt::Debug for PaymentsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentsService")
            .field("provider", &self.provider.name())
            .finish_non_exhaustive()
    }
}
