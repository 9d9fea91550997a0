//! Payments in `payments.db`. Every statement about them is in this folder, and one method of the repository
//! is one transaction.

mod outbox;
mod payments;
mod reader;
mod schema;

use std::sync::Arc;

use super::payment::{Payment, PaymentOutcome, PaymentStatus};
use crate::base::ids::Incarnation;
use crate::shop::contract::{
    ChargeTerms, ClaimToken, EventsAfter, Fence, KnownStream, OrderId, StorageError, StreamId, SweepWindow,
};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sqlite::event_streams;
use crate::shop::sqlite::{commands, fences, lookups};
use crate::store::{Admission, Store, Tx};

pub(in crate::shop) use reader::SqlitePaymentsReader;
pub use schema::{FILE, SCHEMA};

/// Payments as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqlitePayments {
    store: Store,
    /// Dates every row, inside the transaction that writes it.
    clock: Arc<SteadyClock>,
}

impl SqlitePayments {
    /// Over a store that was opened with [`SCHEMA`].
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> SqlitePayments {
        SqlitePayments { store, clock }
    }

    /// The payment of an order.
    pub(super) async fn payment(&self, order: OrderId) -> Result<Option<Payment>, StorageError> {
        Ok(self.store.peek(|connection| payments::find(connection, order))?)
    }

    /// At most `limit` payments of orders before that one, the latest first.
    pub(super) async fn payments(&self, before: OrderId, limit: usize) -> Result<Vec<Payment>, StorageError> {
        let list = self
            .store
            .read(move |connection| payments::list(connection, before, limit));
        Ok(list.await?)
    }

    /// Whether a fence or a higher claim is recorded. Saves a call to the provider; a write checks both
    /// again.
    pub(super) async fn is_fenced(&self, token: ClaimToken) -> Result<bool, StorageError> {
        Ok(self.store.peek(|connection| {
            Ok(fences::is_fenced(connection, token.life)?
                || payments::claim_no(connection, token.order)? > Some(token.claim_no))
        })?)
    }

    /// Records what the provider decided, unless a decision is recorded already.
    pub(super) async fn record(
        &self,
        token: ClaimToken,
        terms: ChargeTerms,
        status: PaymentStatus,
    ) -> Result<PaymentOutcome, StorageError> {
        self.command(token, move |tx, now_ms| {
            payments::record(tx, token, &terms, status, now_ms)
        })
        .await
    }

    /// Records that the charge was given back, under the provider's name of the refund.
    pub(super) async fn record_refund(
        &self,
        token: ClaimToken,
        refund: String,
    ) -> Result<PaymentOutcome, StorageError> {
        self.command(token, move |tx, now_ms| {
            payments::record_refund(tx, token, &refund, now_ms)
        })
        .await
    }

    /// Fences off those lives.
    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| fences::raise(tx, fence);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Removes some payments of orders that are gone.
    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| payments::forget(tx, &window);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// The highest incarnation that a fence knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        Ok(self.store.peek(fences::newest_incarnation)?)
    }

    /// The newest orders that have a payment, the latest first.
    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        let newest = "SELECT order_id FROM payments ORDER BY order_id DESC LIMIT ?1";
        Ok(self
            .store
            .peek(|connection| lookups::orders(connection, newest, [limit]))?)
    }

    /// Those of the orders for which no money was taken.
    pub(in crate::shop) async fn not_charged(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        Ok(self
            .store
            .peek(|connection| payments::not_charged(connection, orders))?)
    }

    /// The provider's names of the charges among the newest payments.
    pub(in crate::shop) async fn newest_receipts(
        &self,
        limit: u32,
    ) -> Result<Vec<(OrderId, String)>, StorageError> {
        Ok(self
            .store
            .peek(|connection| payments::newest_receipts(connection, limit))?)
    }

    /// The line of numbers that the events have; a new one if the file is not what it was.
    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        event_streams::current(&self.store, known).await
    }

    /// The line of the events and its newest number.
    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        Ok(self.store.peek(event_streams::known)?)
    }

    /// The events behind that number.
    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        let read = self
            .store
            .read(move |connection| outbox::after(connection, number, limit));
        Ok(read.await?)
    }

    /// Removes some events from before that time. Writes nothing when there is none.
    pub(super) async fn trim_events(&self, before_ms: u64) -> Result<(), StorageError> {
        event_streams::trim_in(&self.store, before_ms).await
    }

    /// Whether new work may be begun, or why not.
    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    /// Whether the store commits, found out by a commit.
    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|stall| stall.to_string())
    }

    /// Carries out a command unless its life is fenced off.
    async fn command(
        &self,
        token: ClaimToken,
        command: impl FnOnce(&Tx<'_>, u64) -> rusqlite::Result<PaymentOutcome> + Send + 'static,
    ) -> Result<PaymentOutcome, StorageError> {
        let (store, clock) = (&self.store, &self.clock);
        commands::carry_out(store, clock, token.life, PaymentOutcome::Fenced, command).await
    }
}
