//! The statements about payments. A payment is written once, when the provider has decided.

use std::collections::HashSet;

use rusqlite::{Connection, Error, OptionalExtension, Row, named_params};

use super::outbox;
use super::schema::{CANCELLED, DECLINED, REFUNDED, SUCCEEDED};
use crate::base::money::Money;
use crate::shop::contract::{ChargeTerms, ClaimToken, OrderId, PaymentId, SweepWindow};
use crate::shop::payments::payment::{Payment, PaymentOutcome, PaymentStatus};
use crate::shop::payments::records::PaymentRecord;
use crate::shop::sqlite::{StoredLife, row_count, validated};
use crate::store::Tx;

const PAYMENT: &str = "SELECT order_id, state, amount, currency, method, receipt, code, message, at_ms, by,
    refund, refunded_ms, refunded_by FROM payments WHERE order_id = ?1";
const PAYMENTS: &str = "SELECT order_id, state, amount, currency, method, receipt, code, message, at_ms, by,
    refund, refunded_ms, refunded_by FROM payments WHERE order_id < ?1 ORDER BY order_id DESC LIMIT ?2";
/// Payments that are removed in one transaction at most, so that no order waits long for it.
const FORGOTTEN_AT_ONCE: usize = 400;

fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    let StoredLife(by) = row.get(9)?;
    Ok(Payment {
        id: PaymentId(OrderId::from_key(row.get(0)?)),
        status: status(row)?,
        amount: Money {
            amount: row.get::<_, i64>(2)?.unsigned_abs(),
            currency: validated(row, 3)?,
        },
        method: row.get(4)?,
        at_ms: row.get::<_, i64>(8)?.unsigned_abs(),
        by,
    })
}

/// The columns of [`payment`] and the claim.
pub(super) const RECORD: &str =
    "SELECT order_id, state, amount, currency, method, receipt, code, message, at_ms, by,
    refund, refunded_ms, refunded_by, claim_no FROM payments WHERE order_id = ?1";

/// A row of [`RECORD`].
pub(super) fn record_row(row: &Row<'_>) -> rusqlite::Result<PaymentRecord> {
    let StoredLife(by) = row.get(9)?;
    Ok(PaymentRecord {
        status: status(row)?,
        claim_no: row.get(13)?,
        amount: row.get(2)?,
        currency: row.get(3)?,
        at_ms: row.get::<_, i64>(8)?.unsigned_abs(),
        by,
    })
}

fn status(row: &Row<'_>) -> rusqlite::Result<PaymentStatus> {
    match (row.get(1)?, row.get(10)?) {
        (SUCCEEDED, None) => Ok(PaymentStatus::Succeeded { receipt: row.get(5)? }),
        (SUCCEEDED, Some(refund)) => {
            let StoredLife(by) = row.get(12)?;
            Ok(PaymentStatus::Refunded {
                receipt: row.get(5)?,
                refund,
                at_ms: row.get::<_, i64>(11)?.unsigned_abs(),
                by,
            })
        }
        (DECLINED, _) => Ok(PaymentStatus::Declined {
            code: row.get(6)?,
            message: row.get(7)?,
        }),
        (CANCELLED, _) => Ok(PaymentStatus::Cancelled),
        (other, _) => Err(Error::IntegralValueOutOfRange(1, other)),
    }
}

/// Records how the payment ended, unless that is recorded already; what stands then. A higher claim is
/// recorded in either case.
pub(super) fn record(
    tx: &Tx<'_>,
    token: ClaimToken,
    terms: &ChargeTerms,
    status: PaymentStatus,
    now_ms: u64,
) -> rusqlite::Result<PaymentOutcome> {
    if insert(tx, token, terms, &status, now_ms)? {
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

/// Whether a row was added; `false` when the order has one.
fn insert(
    tx: &Tx<'_>,
    token: ClaimToken,
    terms: &ChargeTerms,
    status: &PaymentStatus,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let (state, receipt, code, message) = match status {
        PaymentStatus::Succeeded { receipt } | PaymentStatus::Refunded { receipt, .. } => {
            (SUCCEEDED, Some(receipt), None, None)
        }
        PaymentStatus::Declined { code, message } => (DECLINED, None, Some(code), Some(message)),
        PaymentStatus::Cancelled => (CANCELLED, None, None, None),
    };
    let inserted = tx
        .prepare_cached(
            "INSERT INTO payments
             (order_id, state, claim_no, amount, currency, method, receipt, code, message, at_ms, by)
             VALUES
             (:order, :state, :claim_no, :amount, :currency, :method, :receipt, :code, :message, :at_ms, :by)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":order": token.order.key(),
            ":state": state,
            ":claim_no": token.claim_no,
            ":amount": terms.amount.amount.cast_signed(),
            ":currency": terms.amount.currency.as_str(),
            ":method": &*terms.method,
            ":receipt": receipt,
            ":code": code,
            ":message": message,
            ":at_ms": now_ms.cast_signed(),
            ":by": StoredLife(token.life),
        })?;
    if inserted == 1 {
        outbox::announce(tx, token.order, state, terms.amount, now_ms)?;
    }
    Ok(inserted == 1)
}

/// Records that the charge was given back; what stands then.
pub(super) fn record_refund(
    tx: &Tx<'_>,
    token: ClaimToken,
    refund: &str,
    now_ms: u64,
) -> rusqlite::Result<PaymentOutcome> {
    let refunded = tx
        .prepare_cached(
            "UPDATE payments SET claim_no = ?2, refund = ?3, refunded_ms = ?4, refunded_by = ?5
             WHERE order_id = ?1 AND claim_no <= ?2 AND state = ?6 AND refund IS NULL",
        )?
        .execute((
            token.order.key(),
            token.claim_no,
            refund,
            now_ms.cast_signed(),
            StoredLife(token.life),
            SUCCEEDED,
        ))?;
    match (find(tx, token.order)?, claim_no(tx, token.order)?) {
        (Some(known), Some(noted)) if noted <= token.claim_no => {
            if refunded == 1 {
                outbox::announce(tx, token.order, REFUNDED, known.amount, now_ms)?;
            }
            Ok(PaymentOutcome::Stands(known.status))
        }
        _ => Ok(PaymentOutcome::Fenced),
    }
}

/// Removes some payments of orders in the window that orders does not keep.
pub(super) fn forget(tx: &Connection, window: &SweepWindow) -> rusqlite::Result<()> {
    let kept: HashSet<i64> = window.kept.iter().map(|order| order.key()).collect();
    let limit = row_count(FORGOTTEN_AT_ONCE + kept.len());
    let known: Vec<i64> = tx
        .prepare_cached("SELECT order_id FROM payments WHERE order_id > ?1 AND order_id < ?2 LIMIT ?3")?
        .query_map((window.after.key(), window.before.key(), limit), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let gone = known.into_iter().filter(|order| !kept.contains(order));
    for order in gone.take(FORGOTTEN_AT_ONCE) {
        tx.prepare_cached("DELETE FROM payments WHERE order_id = ?1")?
            .execute([order])?;
    }
    Ok(())
}

/// The highest claim that is recorded for the order, if it has a payment.
pub(super) fn claim_no(connection: &Connection, order: OrderId) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT claim_no FROM payments WHERE order_id = ?1")?
        .query_row([order.key()], |row| row.get(0))
        .optional()
}

/// The payment of an order.
pub(super) fn find(connection: &Connection, order: OrderId) -> rusqlite::Result<Option<Payment>> {
    connection
        .prepare_cached(PAYMENT)?
        .query_row([order.key()], payment)
        .optional()
}

/// At most `limit` payments of orders before that one, the latest first.
pub(super) fn list(connection: &Connection, before: OrderId, limit: usize) -> rusqlite::Result<Vec<Payment>> {
    connection
        .prepare_cached(PAYMENTS)?
        .query_map((before.key(), row_count(limit)), payment)?
        .collect()
}

/// Those of the orders for which no money was taken.
pub(super) fn not_charged(connection: &Connection, orders: Vec<OrderId>) -> rusqlite::Result<Vec<OrderId>> {
    let mut charged = connection.prepare("SELECT 1 FROM payments WHERE order_id = ?1 AND state = ?2")?;
    let mut missing = Vec::new();
    for order in orders {
        if !charged.exists((order.key(), SUCCEEDED))? {
            missing.push(order);
        }
    }
    Ok(missing)
}

/// The provider's names of the charges among the newest payments.
pub(super) fn newest_receipts(
    connection: &Connection,
    limit: u32,
) -> rusqlite::Result<Vec<(OrderId, String)>> {
    connection
        .prepare(
            "SELECT order_id, receipt FROM (SELECT * FROM payments ORDER BY order_id DESC LIMIT ?1)
             WHERE state = ?2",
        )?
        .query_map((limit, SUCCEEDED), |row| {
            Ok((OrderId::from_key(row.get(0)?), row.get(1)?))
        })?
        .collect()
}
