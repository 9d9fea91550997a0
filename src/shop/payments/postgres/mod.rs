//! Payments in a PostgreSQL database. Every statement about them is in this folder, and one method of the
//! repository is one transaction.

mod moved;
mod reader;
mod row;

use std::sync::Arc;

use super::payment::{Payment, PaymentOutcome, PaymentStatus};
use crate::base::ids::Incarnation;
use crate::postgres::{Call, PostgresFailure, PostgresSchema, PostgresStore};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, EventsAfter, Fence, KnownStream, OrderId, StorageError, StreamId, SweepWindow,
};
use crate::shop::postgres::{Columns, event_streams, fences, order_ids, row_count};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Admission;

pub(in crate::shop) use moved::MOVED;
pub(in crate::shop) use reader::PostgresPaymentsReader;
use row::payment_columns;

/// The tables and functions of the payments.
pub(in crate::shop) const POSTGRES_SCHEMA: PostgresSchema = PostgresSchema {
    name: "payments",
    migrations: &[
        concat!(
            include_str!("../../postgres/outbox.sql"),
            include_str!("schema.sql")
        ),
        include_str!("../../../postgres/hosts.sql"),
    ],
    oldest_compatible: 1,
};

/// Payments that are removed in one transaction at most, so that no order waits long for it.
const FORGOTTEN_AT_ONCE: i64 = 400;

/// Payments as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresPayments {
    store: PostgresStore,
    clock: Arc<SteadyClock>,
}

impl PostgresPayments {
    /// Over a database that was opened with [`POSTGRES_SCHEMA`].
    pub(in crate::shop) fn new(store: PostgresStore, clock: Arc<SteadyClock>) -> PostgresPayments {
        PostgresPayments { store, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms().cast_signed()
    }

    pub(super) async fn payment(&self, order: OrderId) -> Result<Option<Payment>, StorageError> {
        let find = concat!(
            "SELECT ",
            payment_columns!(),
            " FROM payments WHERE order_id = $1"
        );
        let rows = self.store.look_up(Call::new(find).bind(order.key())).await?;
        rows.first().map(|row| row::payment(Columns(row), 0)).transpose()
    }

    pub(super) async fn payments(&self, before: OrderId, limit: usize) -> Result<Vec<Payment>, StorageError> {
        let list = concat!(
            "SELECT ",
            payment_columns!(),
            " FROM payments WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2"
        );
        let rows = self
            .store
            .list(Call::new(list).bind(before.key()).bind(row_count(limit)))
            .await?;
        rows.iter().map(|row| row::payment(Columns(row), 0)).collect()
    }

    pub(super) async fn is_fenced(&self, token: ClaimToken) -> Result<bool, StorageError> {
        let fenced = "SELECT is_fenced_2($1, $2, $3, $4)
            OR EXISTS (SELECT 1 FROM payments WHERE order_id = $5 AND claim_no > $6)";
        let fenced = fences::bind(Call::new(fenced), Fence::Life(token.life))
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed());
        let rows = self.store.look_up(fenced).await?;
        rows.first().map_or(Ok(false), |row| Columns(row).get(0))
    }

    pub(super) async fn record(
        &self,
        token: ClaimToken,
        terms: ChargeTerms,
        status: PaymentStatus,
    ) -> Result<PaymentOutcome, StorageError> {
        let (state, receipt, code, message) = match status {
            PaymentStatus::Succeeded { receipt } | PaymentStatus::Refunded { receipt, .. } => {
                (row::SUCCEEDED, Some(receipt), None, None)
            }
            PaymentStatus::Declined { code, message } => (row::DECLINED, None, Some(code), Some(message)),
            PaymentStatus::Cancelled => (row::CANCELLED, None, None, None),
        };
        const RECORD: &str = concat!(
            "SELECT noted, ",
            payment_columns!(),
            " FROM (SELECT r.noted, (r.payment).* FROM record_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
             $11) AS r) \
             AS recorded"
        );
        let record = Call::new(RECORD)
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(state)
            .bind(terms.amount.amount.cast_signed())
            .bind(terms.amount.currency.as_str().to_owned())
            .bind(terms.method.to_string())
            .bind(receipt)
            .bind(code)
            .bind(message)
            .bind(self.now())
            .bind(token.life.to_string())
            .signals();
        self.recorded(record).await
    }

    pub(super) async fn record_refund(
        &self,
        token: ClaimToken,
        refund: String,
    ) -> Result<PaymentOutcome, StorageError> {
        const REFUND: &str = concat!(
            "SELECT noted, ",
            payment_columns!(),
            " FROM (SELECT r.noted, (r.payment).* FROM refund_1($1, $2, $3, $4, $5) AS r) AS recorded"
        );
        let refund = Call::new(REFUND)
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(refund)
            .bind(self.now())
            .bind(token.life.to_string())
            .signals();
        self.recorded(refund).await
    }

    async fn recorded(&self, call: Call) -> Result<PaymentOutcome, StorageError> {
        let rows = match self.store.write(Admission::Continue, call).await {
            Err(PostgresFailure::Fenced) => return Ok(PaymentOutcome::Fenced),
            rows => rows?,
        };
        let Some(row) = rows.first().map(Columns) else {
            return Ok(PaymentOutcome::Fenced);
        };
        Ok(match row.get(0)? {
            true => PaymentOutcome::Stands(row::payment(row, 1)?.status),
            false => PaymentOutcome::Fenced,
        })
    }

    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        fences::raise(&self.store, fence).await
    }

    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        let kept: Vec<i64> = window.kept.iter().map(|order| order.key()).collect();
        let forget = Call::new("SELECT forget_1($1, $2, $3, $4)")
            .bind(window.after.key())
            .bind(window.before.key())
            .bind(kept)
            .bind(FORGOTTEN_AT_ONCE);
        self.store.write(Admission::Continue, forget).await?;
        Ok(())
    }

    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        fences::newest_incarnation(&self.store).await
    }

    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        let newest = "SELECT order_id FROM payments ORDER BY order_id DESC LIMIT $1";
        let rows = self.store.list(Call::new(newest).bind(i64::from(limit))).await?;
        order_ids(&rows)
    }

    pub(in crate::shop) async fn not_charged(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        let missing = "SELECT asked FROM unnest($1) AS asked WHERE NOT EXISTS (SELECT 1 FROM payments
            WHERE order_id = asked AND state = 10)";
        let keys: Vec<i64> = orders.into_iter().map(OrderId::key).collect();
        let rows = self.store.list(Call::new(missing).bind(keys)).await?;
        order_ids(&rows)
    }

    pub(in crate::shop) async fn newest_receipts(
        &self,
        limit: u32,
    ) -> Result<Vec<(OrderId, String)>, StorageError> {
        let newest =
            "SELECT order_id, receipt FROM (SELECT * FROM payments ORDER BY order_id DESC LIMIT $1) AS p
            WHERE state = 10";
        let rows = self.store.list(Call::new(newest).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| Ok((Columns(row).order(0)?, Columns(row).get(1)?)))
            .collect()
    }

    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        event_streams::current(&self.store, known).await
    }

    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        event_streams::known(&self.store).await
    }

    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        event_streams::after(&self.store, (number, limit), row::EVENTS, row::event).await
    }

    pub(super) async fn trim_events(&self, before_ms: u64) -> Result<(), StorageError> {
        event_streams::trim(&self.store, before_ms).await
    }

    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|failure| failure.to_string())
    }
}
