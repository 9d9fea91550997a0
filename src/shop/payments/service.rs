//! The payments as others hold them: the contract's commands over a provider, and what the routes ask.

use std::sync::Arc;

use super::provider::{CancelOutcome, ChargeOutcome, ChargeRequest, Provider};
use super::record::{self, Payment, Status, Written};
use crate::shop::clock::now_ms;
use crate::shop::contract::{Charge, Entry, Fence, Mandate, OrderId, Outcome, Payments, Refusal, StoryError};
use crate::shop::{fences, upkeep};
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
        written.map_err(|error| Outcome::Unknown(format!("payments: {error}")))
    }
}

/// The attempt is the first and only one: a decline ends the order, and nothing else may start another.
fn provider_key(order: OrderId) -> String {
    format!("{order}.1")
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
        };
        match self.write_down(mandate, charge, status).await {
            Ok(Written::Stands(Status::Succeeded { .. })) => Outcome::Done,
            Ok(Written::Stands(Status::Declined { code, message })) => {
                Outcome::Refused(Refusal::Declined { code, message })
            }
            Ok(Written::Stands(Status::Cancelled)) => Outcome::Refused(Refusal::Withdrawn),
            Ok(Written::Fenced) => Outcome::Fenced,
            Err(unknown) => unknown,
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
        };
        match self.write_down(mandate, charge, status).await {
            Ok(Written::Stands(Status::Declined { .. } | Status::Cancelled)) => Outcome::Done,
            Ok(Written::Stands(Status::Succeeded { .. })) => Outcome::Refused(Refusal::Irrevocable),
            Ok(Written::Fenced) => Outcome::Fenced,
            Err(unknown) => unknown,
        }
    }

    async fn fence(&self, fence: Fence) -> Result<(), String> {
        let raise = move |tx: &Tx<'_>| fences::raise(tx, fence);
        upkeep::write(&self.store, "payments", raise).await
    }

    async fn forget(&self, before: OrderId, kept: Arc<[OrderId]>) -> Result<(), String> {
        let forget = move |tx: &Tx<'_>| record::forget(tx, before, &kept);
        upkeep::write(&self.store, "payments", forget).await
    }

    async fn story(&self, order: OrderId) -> Result<Vec<Entry>, StoryError> {
        let payment = self
            .of_order(order)
            .map_err(|error| StoryError(error.to_string()))?;
        Ok(payment.map(Payment::entry).into_iter().collect())
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("provider", &self.provider.name())
            .finish_non_exhaustive()
    }
}
