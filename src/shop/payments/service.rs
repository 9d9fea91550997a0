//! The payments as others hold them: the contract's commands over a provider, and what the routes ask.

use std::sync::Arc;

use super::provider::{CancelOutcome, ChargeOutcome, ChargeRequest, Provider, RefundOutcome, RefundRequest};
use super::sqlite::payments::{self as record, Payment, Status, Written};
use crate::shop::contract::{
    Charge, Entry, Fence, Mandate, OrderId, Outcome, Participant, Payments, Refusal, StoryError,
};
use crate::shop::recovery::clock::now_ms;
use crate::shop::recovery::fences;
use crate::shop::upkeep;
use crate::store::{Admission, ReadError, Store, Tx};

/// The payments. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    provider: Arc<dyn Provider>,
}

impl Service {
    /// Over a store that was opened with this service's schema, with that provider.
    #[must_use]
    pub fn new(store: Store, provider: Arc<dyn Provider>) -> Service {
        Service { store, provider }
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
    fn is_fenced(&self, mandate: Mandate) -> bool {
        let noted = self.store.peek(|connection| {
            Ok((
                fences::bars(connection, mandate.life)?,
                record::claim_no(connection, mandate.order)?,
            ))
        });
        matches!(noted, Ok((barred, noted)) if barred || noted > Some(mandate.claim_no))
    }

    async fn write_down(&self, mandate: Mandate, charge: Charge, status: Status) -> Result<Written, Outcome> {
        let job = move |tx: &Tx<'_>| match fences::bars(tx, mandate.life)? {
            true => Ok(Written::Fenced),
            false => record::write(tx, mandate, &charge, status, now_ms()),
        };
        let written = self
            .store
            .write::<_, rusqlite::Error>(Admission::Continue, job)
            .await;
        written.map_err(|error| upkeep::outcome("payments", &error))
    }
}

impl Service {
    async fn give_back(&self, mandate: Mandate) -> Outcome {
        let key = provider_key(mandate.order);
        let request = RefundRequest {
            refund_key: format!("{key}.refund"),
            provider_key: key,
        };
        let receipt = match self.provider.refund(&request).await {
            RefundOutcome::Done(receipt) => receipt,
            RefundOutcome::Refused(refusal) => {
                let why = format!("the provider refuses the refund: {}", refusal.message);
                return Outcome::Refused(Refusal::Senseless(why));
            }
            RefundOutcome::Unknown(reason) => return Outcome::Unknown(reason),
            RefundOutcome::Stalled(reason) => return Outcome::Stalled(reason),
        };
        let job = move |tx: &Tx<'_>| match fences::bars(tx, mandate.life)? {
            true => Ok(Written::Fenced),
            false => record::refund(tx, mandate, &receipt.id, now_ms()),
        };
        let written = self.store.write(Admission::Continue, job).await;
        match written {
            Ok(Written::Stands(Status::Refunded { .. })) => Outcome::Done,
            Ok(Written::Stands(Status::Succeeded { .. } | Status::Declined { .. } | Status::Cancelled)) => {
                Outcome::Unknown("payments: the refund is not in the book".to_owned())
            }
            Ok(Written::Fenced) => Outcome::Fenced,
            Err(error) => upkeep::outcome("payments", &error),
        }
    }
}

/// The attempt is the first and only one: a decline ends the order, and nothing else may start another.
fn provider_key(order: OrderId) -> String {
    format!("{order}.1")
}

impl Participant for Service {
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

    async fn story(&self, order: OrderId) -> Result<Vec<Entry>, StoryError> {
        let payment = self
            .of_order(order)
            .map_err(|error| StoryError(error.to_string()))?;
        Ok(payment.map(Payment::entries).unwrap_or_default())
    }
}

impl Payments for Service {
    async fn charge(&self, mandate: Mandate, charge: Charge) -> Outcome {
        if self.is_fenced(mandate) {
            return Outcome::Fenced;
        }
        let request = ChargeRequest {
            provider_key: provider_key(mandate.order),
            order_id: mandate.order.to_string(),
            amount: charge.amount,
            method: charge.method.to_string(),
        };
        let status = match self.provider.charge(&request).await {
            ChargeOutcome::Done(receipt) => Status::Succeeded { receipt: receipt.id },
            ChargeOutcome::Refused(refusal) if refusal.kind == super::provider::RefusalKind::Cancelled => {
                Status::Cancelled
            }
            ChargeOutcome::Refused(refusal) => Status::Declined {
                code: refusal.code,
                message: refusal.message,
            },
            ChargeOutcome::Unknown(reason) => return Outcome::Unknown(reason),
            ChargeOutcome::Stalled(reason) => return Outcome::Stalled(reason),
        };
        match self.write_down(mandate, charge, status).await {
            Ok(Written::Stands(Status::Succeeded { .. })) => Outcome::Done,
            Ok(Written::Stands(Status::Declined { code, message })) => {
                Outcome::Refused(Refusal::Declined { code, message })
            }
            Ok(Written::Stands(Status::Cancelled | Status::Refunded { .. })) => {
                Outcome::Refused(Refusal::Withdrawn)
            }
            Ok(Written::Fenced) => Outcome::Fenced,
            Err(unwritten) => unwritten,
        }
    }

    async fn cancel(&self, mandate: Mandate, charge: Charge) -> Outcome {
        if self.is_fenced(mandate) {
            return Outcome::Fenced;
        }
        let status = match self.provider.cancel(&provider_key(mandate.order)).await {
            CancelOutcome::Done => Status::Cancelled,
            CancelOutcome::Refused(receipt) => Status::Succeeded { receipt: receipt.id },
            CancelOutcome::Unknown(reason) => return Outcome::Unknown(reason),
            CancelOutcome::Stalled(reason) => return Outcome::Stalled(reason),
        };
        match self.write_down(mandate, charge, status).await {
            Ok(Written::Stands(Status::Declined { .. } | Status::Cancelled | Status::Refunded { .. })) => {
                Outcome::Done
            }
            Ok(Written::Stands(Status::Succeeded { .. })) => Outcome::Refused(Refusal::Irrevocable),
            Ok(Written::Fenced) => Outcome::Fenced,
            Err(unwritten) => unwritten,
        }
    }

    async fn refund(&self, mandate: Mandate, charge: Charge) -> Outcome {
        // The cancel goes first: it says for certain whether there is anything to give back, and shuts the door for a late charge.
        match self.cancel(mandate, charge).await {
            Outcome::Refused(Refusal::Irrevocable) => self.give_back(mandate).await,
            settled @ (Outcome::Done
            | Outcome::Refused(_)
            | Outcome::Unknown(_)
            | Outcome::Stalled(_)
            | Outcome::Fenced) => settled,
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("provider", &self.provider.name())
            .finish_non_exhaustive()
    }
}
