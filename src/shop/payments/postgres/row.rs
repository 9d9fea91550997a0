//! Rows of the payments' tables as domain types.

use crate::shop::contract::{EventData, EventKind, PaymentId, StorageError, StoredEvent};
use crate::shop::payments::payment::{Payment, PaymentStatus};
use crate::shop::payments::records::PaymentRecord;
use crate::shop::postgres::Columns;

/// The column `payments.state`: the money was taken, and given back if there is a refund.
pub(super) const SUCCEEDED: i16 = 10;
/// The column `payments.state`: the provider refused the charge.
pub(super) const DECLINED: i16 = 20;
/// The column `payments.state`: no money was taken, and none will be.
pub(super) const CANCELLED: i16 = 30;

/// The columns that [`payment`] reads, in its order.
macro_rules! payment_columns {
    () => {
        "order_id, state, amount, currency, method, receipt, code, message, at_ms, by, refund, refunded_ms, \
         refunded_by"
    };
}
pub(super) use payment_columns;

/// The payment in the columns from `from` on.
pub(super) fn payment(row: Columns<'_>, from: usize) -> Result<Payment, StorageError> {
    Ok(Payment {
        id: PaymentId(row.order(from)?),
        status: status(row, from)?,
        amount: row.money(from + 2)?,
        method: row.get(from + 4)?,
        at_ms: row.count(from + 8)?,
        by: row.life(from + 9)?,
    })
}

/// The payment and, behind its columns, the claim.
pub(super) fn record(row: Columns<'_>) -> Result<PaymentRecord, StorageError> {
    Ok(PaymentRecord {
        status: status(row, 0)?,
        claim_no: row.small(13)?,
        amount: row.get(2)?,
        currency: row.get(3)?,
        at_ms: row.count(8)?,
        by: row.life(9)?,
    })
}

fn status(row: Columns<'_>, from: usize) -> Result<PaymentStatus, StorageError> {
    let refund: Option<String> = row.get(from + 10)?;
    match (row.get(from + 1)?, refund) {
        (SUCCEEDED, None) => Ok(PaymentStatus::Succeeded {
            receipt: row.get(from + 5)?,
        }),
        (SUCCEEDED, Some(refund)) => Ok(PaymentStatus::Refunded {
            receipt: row.get(from + 5)?,
            refund,
            at_ms: row.count(from + 11)?,
            by: row.life(from + 12)?,
        }),
        (DECLINED, _) => Ok(PaymentStatus::Declined {
            code: row.get(from + 6)?,
            message: row.get(from + 7)?,
        }),
        (CANCELLED, _) => Ok(PaymentStatus::Cancelled),
        (other, _) => Err(unknown(other)),
    }
}

fn unknown(state: i16) -> StorageError {
    StorageError::Failed(format!("a payment has state {state}, which there is not"))
}

/// The events behind a number and up to another.
pub(super) const EVENTS: &str = "SELECT number, state, at_ms, order_id, amount, currency FROM outbox
    WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3";

/// A row of [`EVENTS`].
pub(super) fn event(row: Columns<'_>) -> Result<StoredEvent, StorageError> {
    let kind = match row.get(1)? {
        SUCCEEDED => EventKind::PaymentCharged,
        DECLINED => EventKind::PaymentDeclined,
        CANCELLED => EventKind::PaymentCancelled,
        40 => EventKind::PaymentRefunded,
        other => return Err(unknown(other)),
    };
    Ok(StoredEvent {
        seq: row.count(0)?,
        kind,
        at_ms: row.count(2)?,
        request_id: None,
        traceparent: None,
        data: EventData::Payment {
            payment: PaymentId(row.order(3)?),
            amount: row.money(4)?,
        },
    })
}
