//! Stock and reservations in `inventory.db`. Every statement about them is in this folder, and one method of
//! the repository is one transaction.

mod adjustments;
mod articles;
mod outbox;
mod reader;
mod reservations;
mod schema;

use std::sync::Arc;

use self::articles::NotEdited;
use super::adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
use super::articles::{Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome};
use super::catalog::Catalog;
use crate::base::ids::Incarnation;
use crate::shop::contract::{
    ClaimToken, CommandOutcome, EventsAfter, Fence, KnownStream, OrderId, OrderLine, QuoteError,
    RequestedItem, Sku, StorageError, StreamId, SweepWindow, TimelineEntry,
};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sqlite::event_streams;
use crate::shop::sqlite::{commands, fences, lookups, refusal};
use crate::store::{Admission, Store, Tx, WriteError};

pub(in crate::shop) use reader::SqliteInventoryReader;
pub use schema::{FILE, OLDEST_COMPATIBLE, SCHEMA};

/// Stock and reservations as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteInventory {
    store: Store,
    /// Dates every row, inside the transaction that writes it.
    clock: Arc<SteadyClock>,
}

impl SqliteInventory {
    /// Over a store that was opened with [`SCHEMA`].
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> SqliteInventory {
        SqliteInventory { store, clock }
    }

    /// Whether a catalog was ever written.
    pub(super) async fn is_stocked(&self) -> Result<bool, StorageError> {
        Ok(self.store.peek(articles::is_stocked)?)
    }

    /// The fingerprint of the catalog that was written.
    pub(super) async fn catalog_fingerprint(&self) -> Result<Option<String>, StorageError> {
        Ok(self.store.peek(articles::catalog_fingerprint)?)
    }

    /// Writes the articles of the catalog, unless a catalog was written before.
    pub(super) async fn stock(&self, catalog: Catalog) -> Result<(), EditError> {
        self.edit(Admission::Continue, move |tx, now_ms| {
            articles::stock(tx, catalog, now_ms)
        })
        .await
    }

    /// One article.
    pub(super) async fn article(&self, sku: Sku) -> Result<Option<Article>, StorageError> {
        Ok(self.store.peek(|connection| articles::find(connection, &sku))?)
    }

    /// At most `limit` articles after that SKU, in the order of their SKUs.
    pub(super) async fn articles(&self, after: String, limit: usize) -> Result<Vec<Article>, StorageError> {
        let list = self
            .store
            .read(move |connection| articles::list(connection, &after, limit));
        Ok(list.await?)
    }

    /// Creates or changes an article; the article as it is then.
    pub(super) async fn put(
        &self,
        update: ArticleUpdate,
        condition: EditCondition,
    ) -> Result<(PutOutcome, Article), EditError> {
        self.edit(Admission::New, move |tx, now_ms| {
            articles::put(tx, update, &condition, now_ms)
        })
        .await
    }

    /// Changes what is said of an article; the article as it is then.
    pub(super) async fn patch(
        &self,
        sku: Sku,
        patch: ArticlePatch,
        condition: EditCondition,
    ) -> Result<Article, EditError> {
        self.edit(Admission::New, move |tx, now_ms| {
            articles::patch(tx, &sku, patch, &condition, now_ms)
        })
        .await
    }

    /// Changes the count of an article, once for each key.
    pub(super) async fn adjust(
        &self,
        request: AdjustmentRequest,
        condition: EditCondition,
    ) -> Result<AdjustOutcome, EditError> {
        self.edit(Admission::New, move |tx, now_ms| {
            adjustments::adjust(tx, &request, &condition, now_ms)
        })
        .await
    }

    /// At most `limit` adjustments of an article before that number, the latest first.
    pub(super) async fn adjustments(
        &self,
        sku: Sku,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Adjustment>, StorageError> {
        let list = self
            .store
            .read(move |connection| adjustments::list(connection, &sku, before, limit));
        Ok(list.await?)
    }

    /// The prices of the items, read on the caller's thread: one look-up by the primary key for each item.
    pub(super) async fn quote(&self, items: Vec<RequestedItem>) -> Result<Vec<OrderLine>, QuoteError> {
        let quoted = self.store.peek(|connection| articles::quote(connection, items));
        quoted.map_err(|error| QuoteError::Unavailable(error.into()))?
    }

    /// Holds all lines, or none.
    pub(super) async fn reserve(
        &self,
        token: ClaimToken,
        lines: Arc<[OrderLine]>,
    ) -> Result<CommandOutcome, StorageError> {
        self.command(token, move |tx, now_ms| {
            reservations::reserve(tx, token, &lines, now_ms)
        })
        .await
    }

    /// Lets go of the goods that are held; a later reserve is refused.
    pub(super) async fn release(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        self.command(token, move |tx, now_ms| reservations::release(tx, token, now_ms))
            .await
    }

    /// The goods that are held leave the shelf.
    pub(super) async fn commit(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        self.command(token, move |tx, now_ms| reservations::commit(tx, token, now_ms))
            .await
    }

    /// Puts goods that left the shelf back, or lets go of those that are only held; a later reserve is
    /// refused.
    pub(super) async fn give_back(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        self.command(token, move |tx, now_ms| {
            reservations::give_back(tx, token, now_ms)
        })
        .await
    }

    /// Fences off those lives.
    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| fences::raise(tx, fence);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Removes some of what is kept for orders that are gone.
    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| {
            adjustments::forget(tx, window.before.created_ms())?;
            reservations::forget(tx, &window)
        };
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// What inventory did for the order.
    pub(super) async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, StorageError> {
        Ok(self
            .store
            .peek(|connection| reservations::timeline(connection, order))?)
    }

    /// The highest incarnation that a fence knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        Ok(self.store.peek(fences::newest_incarnation)?)
    }

    /// The newest orders that have a reservation, the latest first.
    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        let newest = "SELECT order_id FROM reservations ORDER BY order_id DESC LIMIT ?1";
        Ok(self
            .store
            .peek(|connection| lookups::orders(connection, newest, [limit]))?)
    }

    /// Those of the orders whose goods did not leave the shelf.
    pub(in crate::shop) async fn not_committed(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        Ok(self
            .store
            .peek(|connection| reservations::not_committed(connection, orders))?)
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

    /// Changes articles in one transaction, at the time of the clock inside it.
    async fn edit<T: Send + 'static>(
        &self,
        admission: Admission,
        edit: impl FnOnce(&Tx<'_>, u64) -> Result<T, NotEdited> + Send + 'static,
    ) -> Result<T, EditError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| edit(tx, clock.now_ms());
        self.store.write(admission, job).await.map_err(not_edited)
    }

    /// Carries out a command unless its life is fenced off.
    async fn command(
        &self,
        token: ClaimToken,
        command: impl FnOnce(&Tx<'_>, u64) -> rusqlite::Result<CommandOutcome> + Send + 'static,
    ) -> Result<CommandOutcome, StorageError> {
        let (store, clock) = (&self.store, &self.clock);
        commands::carry_out(store, clock, token.life, CommandOutcome::Fenced, command).await
    }
}

fn not_edited(error: WriteError<NotEdited>) -> EditError {
    match refusal(error) {
        Ok(NotEdited::Refused(error)) => error,
        Ok(NotEdited::Sqlite(error)) => EditError::Storage(error.into()),
        Err(failure) => EditError::Storage(failure),
    }
}
