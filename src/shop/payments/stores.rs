//! The repository of the service, whichever engine holds its database: one method is one transaction.

use std::sync::Arc;

use super::payment::{Payment, PaymentOutcome, PaymentStatus};
#[cfg(feature = "postgres")]
use super::postgres::PostgresPayments;
use super::sqlite::SqlitePayments;
use crate::base::ids::Incarnation;
use crate::shop::by_engine::either;
use crate::shop::contract::{
    ChargeTerms, ClaimToken, EventsAfter, Fence, KnownStream, OrderId, StorageError, StreamId, SweepWindow,
};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Store;

/// Payments as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub enum PaymentsRepository {
    /// In a file of the data directory.
    #[doc(hidden)]
    Sqlite(SqlitePayments),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    #[doc(hidden)]
    Postgres(PostgresPayments),
}

impl PaymentsRepository {
    /// Over a store that was opened with the schema of the service.
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> PaymentsRepository {
        PaymentsRepository::Sqlite(SqlitePayments::new(store, clock))
    }

    /// The payment of an order.
    pub(super) async fn payment(&self, order: OrderId) -> Result<Option<Payment>, StorageError> {
        either!(self, repository => repository.payment(order).await)
    }

    /// At most `limit` payments of orders before that one, the latest first.
    pub(super) async fn payments(&self, before: OrderId, limit: usize) -> Result<Vec<Payment>, StorageError> {
        either!(self, repository => repository.payments(before, limit).await)
    }

    /// Whether a fence or a higher claim is recorded. Saves a call to the provider; a write checks both
    /// again.
    pub(super) async fn is_fenced(&self, token: ClaimToken) -> Result<bool, StorageError> {
        either!(self, repository => repository.is_fenced(token).await)
    }

    /// Records what the provider decided, unless a decision is recorded already.
    pub(super) async fn record(
        &self,
        token: ClaimToken,
        terms: ChargeTerms,
        status: PaymentStatus,
    ) -> Result<PaymentOutcome, StorageError> {
        either!(self, repository => repository.record(token, terms, status).await)
    }

    /// Records that the charge was given back, under the provider's name of the refund.
    pub(super) async fn record_refund(
        &self,
        token: ClaimToken,
        refund: String,
    ) -> Result<PaymentOutcome, StorageError> {
        either!(self, repository => repository.record_refund(token, refund).await)
    }

    /// Fences off those lives.
    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        either!(self, repository => repository.fence(fence).await)
    }

    /// Removes some payments of orders that are gone.
    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        either!(self, repository => repository.forget(window).await)
    }

    /// The highest incarnation that a fence knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        either!(self, repository => repository.newest_incarnation().await)
    }

    /// The newest orders that have a payment, the latest first.
    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.newest_orders(limit).await)
    }

    /// Those of the orders for which no money was taken.
    pub(in crate::shop) async fn not_charged(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.not_charged(orders).await)
    }

    /// The provider's names of the charges among the newest payments.
    pub(in crate::shop) async fn newest_receipts(
        &self,
        limit: u32,
    ) -> Result<Vec<(OrderId, String)>, StorageError> {
        either!(self, repository => repository.newest_receipts(limit).await)
    }

    /// The line of numbers that the events have; a new one if the file is not what it was.
    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        either!(self, repository => repository.begin_events(known).await)
    }

    /// The line of the events and its newest number.
    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        either!(self, repository => repository.known_events().await)
    }

    /// The events behind that number.
    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        either!(self, repository => repository.events_after(number, limit).await)
    }

    /// Removes some events from before that time. Writes nothing when there is none.
    pub(super) async fn trim_events(&self, before_ms: u64) -> Result<(), StorageError> {
        either!(self, repository => repository.trim_events(before_ms).await)
    }

    /// Whether new work may be begun, or why not.
    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        either!(self, repository => repository.accepts_new_work().await)
    }

    /// Whether the store commits, found out by a commit.
    pub(super) async fn probe(&self) -> Result<(), String> {
        either!(self, repository => repository.probe().await)
    }
}
