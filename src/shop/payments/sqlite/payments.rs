//! Payments as they are written down: once, when the provider has decided.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::base::money::{Currency, Money};
use crate::shop::contract::{ChargeTerms, ClaimToken, OrderId, PaymentId, ServiceName, TimelineEntry};

/// How a payment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    /// The money was taken and stands.
    Succeeded {
        /// The provider's name of the charge.
        receipt: String,
    },
    /// The money was taken, and given back.
    Refunded {
        /// The provider's name of the charge.
        receipt: String,
        /// The provider's name of the refund.
        refund: String,
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// The life of the worker that did it.
        by: String,
    },
    /// The provider said no.
    Declined {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// Given up before any money was taken; none ever will be.
    Cancelled,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its id; names its order, too.
    pub id: PaymentId,
    /// How it ended.
    pub status: PaymentStatus,
    /// How much.
    pub amount: Money,
    /// The means of payment.
    pub method: String,
    /// When it was decided, in milliseconds since 1970.
    pub at_ms: u64,
    by: String,
}

const COLUMNS: &str = "order_id, state, amount, currency, method, receipt, code, message, at_ms, by, \
    refund, refunded_ms, refunded_by";

impl PaymentStatus {
    fn number(&self) -> i64 {
        match self {
            PaymentStatus::Succeeded { .. } | PaymentStatus::Refunded { .. } => 10,
            PaymentStatus::Declined { .. } => 20,
            PaymentStatus::Cancelled => 30,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            PaymentStatus::Succeeded { .. } => "succeeded",
            PaymentStatus::Refunded { .. } => "refunded",
            PaymentStatus::Declined { .. } => "declined",
            PaymentStatus::Cancelled => "cancelled",
        }
    }

    /// Why it was declined.
    #[must_use]
    pub fn decline_code(&self) -> Option<&str> {
        match self {
            PaymentStatus::Declined { code, .. } => Some(code),
            PaymentStatus::Succeeded { .. } | PaymentStatus::Refunded { .. } | PaymentStatus::Cancelled => {
                None
            }
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<PaymentStatus> {
        match row.get::<_, i64>(1)? {
            10 => Ok(match row.get(10)? {
                None => PaymentStatus::Succeeded { receipt: row.get(5)? },
                Some(refund) => PaymentStatus::Refunded {
                    receipt: row.get(5)?,
                    refund,
                    at_ms: row.get::<_, i64>(11)?.unsigned_abs(),
                    by: row.get(12)?,
                },
            }),
            20 => Ok(PaymentStatus::Declined {
                code: row.get(6)?,
                message: row.get(7)?,
            }),
            30 => Ok(PaymentStatus::Cancelled),
            other => Err(rusqlite::Error::IntegralValueOutOfRange(1, other)),
        }
    }
}

impl Payment {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Payment> {
        let currency = Currency::try_from(row.get::<_, String>(3)?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error))
        })?;
        Ok(Payment {
            id: PaymentId(OrderId::from_key(row.get(0)?)),
            status: PaymentStatus::from_row(row)?,
            amount: Money {
                amount: row.get::<_, i64>(2)?.unsigned_abs(),
                currency,
            },
            method: row.get(4)?,
            at_ms: row.get::<_, i64>(8)?.unsigned_abs(),
            by: row.get(9)?,
        })
    }

    /// As the order's story tells it.
    pub(in crate::shop::payments) fn entries(self) -> Vec<TimelineEntry> {
        let entry = |at_ms, step, outcome, worker, detail| TimelineEntry {
            at_ms,
            service: ServiceName::Payments,
            step,
            outcome,
            worker,
            detail,
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

/// What stands after someone wrote down what the provider decided.
pub(in crate::shop::payments) enum PaymentOutcome {
    /// This, written now or before.
    Stands(PaymentStatus),
    /// A higher claim was noted: the writer is not the owner any more.
    Fenced,
}

/// Writes down how it ended, unless that is written already; what stands then. A higher claim is noted either way.
pub(in crate::shop::payments) fn write(
    tx: &Connection,
    token: ClaimToken,
    charge: &ChargeTerms,
    status: PaymentStatus,
    now_ms: u64,
) -> rusqlite::Result<PaymentOutcome> {
    if insert(tx, token, charge, &status, now_ms)? {
        return Ok(PaymentOutcome::Stands(status));
    }
    let noted = tx
        .prepare_cached("UPDATE payments SET claim_no = ?2 WHERE order_id = ?1 AND claim_no <= ?2")?
        .execute((token.order.key(), token.claim_no))?;
    match find(tx, token.order)? {
        Some(known) if noted == 1 => Ok(PaymentOutcome::Stands(known.status)),
        Some(_) | None => Ok(PaymentOutcome::Fenced),
    }
}

fn insert(
    tx: &Connection,
    token: ClaimToken,
    charge: &ChargeTerms,
    status: &PaymentStatus,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let (receipt, code, message) = match status {
        PaymentStatus::Succeeded { receipt } | PaymentStatus::Refunded { receipt, .. } => {
            (Some(receipt), None, None)
        }
        PaymentStatus::Declined { code, message } => (None, Some(code), Some(message)),
        PaymentStatus::Cancelled => (None, None, None),
    };
    let inserted = tx
        .prepare_cached(
            "INSERT INTO payments (order_id, state, claim_no, amount, currency, method, receipt, code, message, at_ms, by)
             VALUES (:order, :state, :claim_no, :amount, :currency, :method, :receipt, :code, :message, :at_ms, :by)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":order": token.order.key(),
            ":state": status.number(),
            ":claim_no": token.claim_no,
            ":amount": charge.amount.amount.cast_signed(),
            ":currency": charge.amount.currency.as_str(),
            ":method": &*charge.method,
            ":receipt": receipt,
            ":code": code,
            ":message": message,
            ":at_ms": now_ms.cast_signed(),
            ":by": token.life.to_string(),
        })?;
    Ok(inserted == 1)
}

/// Writes down that the charge was given back; what stands then.
pub(in crate::shop::payments) fn refund(
    tx: &Connection,
    token: ClaimToken,
    refund: &str,
    now_ms: u64,
) -> rusqlite::Result<PaymentOutcome> {
    tx.prepare_cached(
        "UPDATE payments SET claim_no = ?2, refund = ?3, refunded_ms = ?4, refunded_by = ?5
         WHERE order_id = ?1 AND claim_no <= ?2 AND state = 10 AND refund IS NULL",
    )?
    .execute((
        token.order.key(),
        token.claim_no,
        refund,
        now_ms.cast_signed(),
        token.life.to_string(),
    ))?;
    match (find(tx, token.order)?, claim_no(tx, token.order)?) {
        (Some(known), Some(noted)) if noted <= token.claim_no => Ok(PaymentOutcome::Stands(known.status)),
        _ => Ok(PaymentOutcome::Fenced),
    }
}

/// Removed in one transaction at most.
const FORGOTTEN_AT_ONCE: usize = 400;

/// Removes payments of orders between these two that are not among `kept`.
pub(in crate::shop::payments) fn forget(
    tx: &Connection,
    after: OrderId,
    before: OrderId,
    kept: &[OrderId],
) -> rusqlite::Result<()> {
    let kept: HashSet<i64> = kept.iter().map(|order| order.key()).collect();
    let known: Vec<i64> = tx
        .prepare_cached("SELECT order_id FROM payments WHERE order_id > ?1 AND order_id < ?2 LIMIT ?3")?
        .query_map(
            (
                after.key(),
                before.key(),
                i64::try_from(FORGOTTEN_AT_ONCE + kept.len()).unwrap_or(i64::MAX),
            ),
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let gone = known.into_iter().filter(|order| !kept.contains(order));
    for order in gone.take(FORGOTTEN_AT_ONCE) {
        tx.prepare_cached("DELETE FROM payments WHERE order_id = ?1")?
            .execute([order])?;
    }
    Ok(())
}

/// The claim that was noted last, if anything was written.
pub(in crate::shop::payments) fn claim_no(
    connection: &Connection,
    order: OrderId,
) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT claim_no FROM payments WHERE order_id = ?1")?
        .query_row([order.key()], |row| row.get(0))
        .optional()
}

/// An order's payment.
pub(in crate::shop::payments) fn find(
    connection: &Connection,
    order: OrderId,
) -> rusqlite::Result<Option<Payment>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM payments WHERE order_id = ?1"))?
        .query_row([order.key()], Payment::from_row)
        .optional()
}

/// At most `limit` payments of orders before that one, the latest first.
pub(in crate::shop::payments) fn list(
    connection: &Connection,
    before: OrderId,
    limit: usize,
) -> rusqlite::Result<Vec<Payment>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM payments WHERE order_id < ?1 ORDER BY order_id DESC LIMIT ?2"
        ))?
        .query_map(
            (before.key(), i64::try_from(limit).unwrap_or(i64::MAX)),
            Payment::from_row,
        )?
        .collect()
}
