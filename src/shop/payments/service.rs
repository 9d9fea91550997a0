//! The payments as others hold them: the contract's commands over a provider, and what the routes ask.

use std::sync::Arc;

use super::payment::{Payment, PaymentOutcome, PaymentStatus};
use super::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, Provider, RefundOutcome, RefundRequest, RefusalKind,
};
use super::stores::PaymentsRepository;
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, EventSource, EventsAfter, Fence, OrderId,
    Participant, Payments, StorageError, SweepWindow, TimelineEntry, TimelineError,
};

/// The payments. Cheap to clone.
#[derive(Clone)]
pub struct PaymentsService {
    repository: PaymentsRepository,
    provider: Arc<dyn Provider>,
}

impl PaymentsService {
    /// Over what that repository stores, with that provider.
    #[must_use]
    pub fn new(repository: PaymentsRepository, provider: Arc<dyn Provider>) -> PaymentsService {
        PaymentsService { repository, provider }
    }

    /// The payment of an order.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn of_order(&self, order: OrderId) -> Result<Option<Payment>, StorageError> {
        self.repository.payment(order).await
    }

    /// At most `limit` payments of orders before that one, the latest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn latest(&self, before: OrderId, limit: usize) -> Result<Vec<Payment>, StorageError> {
        self.repository.payments(before, limit).await
    }

    /// Whether the store commits, and the provider can carry out calls.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        let (store, provider) = tokio::join!(self.repository.probe(), self.provider.probe());
        store.and(provider)
    }

    /// A repository that cannot be read now fences nobody: the write that follows looks again.
    async fn is_fenced(&self, token: ClaimToken) -> bool {
        self.repository.is_fenced(token).await.unwrap_or(false)
    }

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
        match self.repository.record_refund(token, receipt.id).await {
            Ok(PaymentOutcome::Stands(PaymentStatus::Refunded { .. })) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(
                PaymentStatus::Succeeded { .. } | PaymentStatus::Declined { .. } | PaymentStatus::Cancelled,
            )) => CommandOutcome::Unknown("payments: the refund is not recorded".to_owned()),
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(error) => unrecorded(&error),
        }
    }
}

/// The first attempt is the only one: a decline ends the order, and nothing else may start another attempt.
fn provider_key(order: OrderId) -> String {
    format!("{order}.1")
}

fn unrecorded(error: &StorageError) -> CommandOutcome {
    CommandOutcome::of_failure("payments", error)
}

impl Participant for PaymentsService {
    async fn fence(&self, fence: Fence) -> Result<(), String> {
        let raised = self.repository.fence(fence).await;
        raised.map_err(|error| format!("payments: {error}"))
    }

    async fn forget(&self, window: SweepWindow) -> Result<(), String> {
        let forgotten = self.repository.forget(window).await;
        forgotten.map_err(|error| format!("payments: {error}"))
    }

    async fn trim_events(&self, before_ms: u64) -> Result<(), String> {
        let trimmed = self.repository.trim_events(before_ms).await;
        trimmed.map_err(|error| format!("payments: {error}"))
    }

    async fn accepts_new_work(&self) -> Result<(), StorageError> {
        self.repository.accepts_new_work().await?;
        self.provider.accepts_new_work().await
    }

    async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, TimelineError> {
        let payment = self.of_order(order).await;
        let payment = payment.map_err(|error| TimelineError(error.to_string()))?;
        Ok(payment.map(Payment::timeline).unwrap_or_default())
    }
}

impl Payments for PaymentsService {
    async fn charge(&self, token: ClaimToken, terms: ChargeTerms) -> CommandOutcome {
        if self.is_fenced(token).await {
            return CommandOutcome::Fenced;
        }
        let request = ChargeRequest {
            provider_key: provider_key(token.order),
            order_id: token.order.to_string(),
            amount: terms.amount,
            method: terms.method.to_string(),
        };
        let status = match self.provider.charge(&request).await {
            ChargeOutcome::Done(receipt) => PaymentStatus::Succeeded { receipt: receipt.id },
            ChargeOutcome::Refused(refusal) if refusal.kind == RefusalKind::Cancelled => {
                PaymentStatus::Cancelled
            }
            ChargeOutcome::Refused(refusal) => PaymentStatus::Declined {
                code: refusal.code,
                message: refusal.message,
            },
            ChargeOutcome::Unknown(reason) => return CommandOutcome::Unknown(reason),
            ChargeOutcome::Stalled(reason) => return CommandOutcome::Stalled(reason),
        };
        match self.repository.record(token, terms, status).await {
            Ok(PaymentOutcome::Stands(PaymentStatus::Succeeded { .. })) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(PaymentStatus::Declined { code, message })) => {
                CommandOutcome::Refused(CommandRefusal::Declined { code, message })
            }
            Ok(PaymentOutcome::Stands(PaymentStatus::Cancelled | PaymentStatus::Refunded { .. })) => {
                CommandOutcome::Refused(CommandRefusal::Withdrawn)
            }
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(error) => unrecorded(&error),
        }
    }

    async fn cancel(&self, token: ClaimToken, terms: ChargeTerms) -> CommandOutcome {
        if self.is_fenced(token).await {
            return CommandOutcome::Fenced;
        }
        let status = match self.provider.cancel(&provider_key(token.order)).await {
            CancelOutcome::Done => PaymentStatus::Cancelled,
            CancelOutcome::Refused(receipt) => PaymentStatus::Succeeded { receipt: receipt.id },
            CancelOutcome::Unknown(reason) => return CommandOutcome::Unknown(reason),
            CancelOutcome::Stalled(reason) => return CommandOutcome::Stalled(reason),
        };
        match self.repository.record(token, terms, status).await {
            Ok(PaymentOutcome::Stands(
                PaymentStatus::Declined { .. } | PaymentStatus::Cancelled | PaymentStatus::Refunded { .. },
            )) => CommandOutcome::Done,
            Ok(PaymentOutcome::Stands(PaymentStatus::Succeeded { .. })) => {
                CommandOutcome::Refused(CommandRefusal::Irrevocable)
            }
            Ok(PaymentOutcome::Fenced) => CommandOutcome::Fenced,
            Err(error) => unrecorded(&error),
        }
    }

    async fn refund(&self, token: ClaimToken, terms: ChargeTerms) -> CommandOutcome {
        // The cancel goes first: it settles whether there is anything to give back, and refuses a late
        // charge.
        match self.cancel(token, terms).await {
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

impl EventSource for PaymentsService {
    async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        self.repository.events_after(number, limit).await
    }
}
