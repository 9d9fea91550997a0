//! What a payment is. Pure.

use crate::base::ids::Life;
use crate::base::money::Money;
use crate::shop::contract::{PaymentId, ServiceName, TimelineEntry};

/// How a payment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    /// The money was taken and stands.
    Succeeded {
        /// The provider's name of the charge.
        receipt: String,
    },
    /// The money was taken and given back.
    Refunded {
        /// The provider's name of the charge.
        receipt: String,
        /// The provider's name of the refund.
        refund: String,
        /// When the money was given back, in milliseconds since 1970.
        at_ms: u64,
        /// The life of the worker that gave it back.
        by: Life,
    },
    /// The provider refused the charge.
    Declined {
        /// The provider's reason for programs.
        code: String,
        /// The provider's reason for people.
        message: String,
    },
    /// The payment was given up before any money was taken, and none ever will be.
    Cancelled,
}

impl PaymentStatus {
    /// The status in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            PaymentStatus::Succeeded { .. } => "succeeded",
            PaymentStatus::Refunded { .. } => "refunded",
            PaymentStatus::Declined { .. } => "declined",
            PaymentStatus::Cancelled => "cancelled",
        }
    }

    /// The provider's reason for programs, of a payment that was declined.
    #[must_use]
    pub fn decline_code(&self) -> Option<&str> {
        match self {
            PaymentStatus::Declined { code, .. } => Some(code),
            PaymentStatus::Succeeded { .. } | PaymentStatus::Refunded { .. } | PaymentStatus::Cancelled => {
                None
            }
        }
    }
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The payment's id, which names its order, too.
    pub id: PaymentId,
    /// How the payment ended.
    pub status: PaymentStatus,
    /// How much was to be paid.
    pub amount: Money,
    /// The provider's name of the means of payment.
    pub method: String,
    /// When the payment was decided, in milliseconds since 1970.
    pub at_ms: u64,
    /// The life of the worker that recorded the decision.
    pub by: Life,
}

impl Payment {
    /// The payment as a part of its order's timeline.
    pub(super) fn timeline(self) -> Vec<TimelineEntry> {
        let entry = |at_ms, step, outcome, worker, detail| TimelineEntry {
            at_ms,
            service: ServiceName::Payments,
            step,
            outcome,
            worker,
            detail,
            request_id: None,
        };
        match self.status {
            PaymentStatus::Succeeded { receipt } => {
                vec![entry(self.at_ms, "charge", "done", self.by, Some(receipt))]
            }
            PaymentStatus::Refunded {
                receipt,
                refund,
                at_ms,
                by,
            } => vec![
                entry(self.at_ms, "charge", "done", self.by, Some(receipt)),
                entry(at_ms, "refund", "done", by, Some(refund)),
            ],
            PaymentStatus::Declined { code, .. } => {
                vec![entry(self.at_ms, "charge", "refused", self.by, Some(code))]
            }
            PaymentStatus::Cancelled => vec![entry(self.at_ms, "cancel", "done", self.by, None)],
        }
    }
}

/// What is recorded of a payment once an owner tried to record the provider's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PaymentOutcome {
    /// This decision, recorded now or before.
    Stands(PaymentStatus),
    /// A higher claim or a fence is recorded: the sender owns the saga no more.
    Fenced,
}
