//! The repository of the service, whichever engine holds its database: one method is one transaction.

use std::sync::Arc;

use super::adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
use super::articles::{Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome};
use super::catalog::Catalog;
#[cfg(feature = "postgres")]
use super::postgres::PostgresInventory;
use super::sqlite::SqliteInventory;
use crate::base::ids::Incarnation;
use crate::shop::by_engine::either;
use crate::shop::contract::{
    ClaimToken, CommandOutcome, EventsAfter, Fence, KnownStream, OrderId, OrderLine, QuoteError,
    RequestedItem, Sku, StorageError, StreamId, SweepWindow, TimelineEntry,
};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Store;

/// Stock and reservations as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub enum InventoryRepository {
    /// In a file of the data directory.
    #[doc(hidden)]
    Sqlite(SqliteInventory),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    #[doc(hidden)]
    Postgres(PostgresInventory),
}

impl InventoryRepository {
    /// Over a store that was opened with the schema of the service.
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> InventoryRepository {
        InventoryRepository::Sqlite(SqliteInventory::new(store, clock))
    }

    /// Whether a catalog was ever written.
    pub(super) async fn is_stocked(&self) -> Result<bool, StorageError> {
        either!(self, repository => repository.is_stocked().await)
    }

    /// The fingerprint of the catalog that was written.
    pub(super) async fn catalog_fingerprint(&self) -> Result<Option<String>, StorageError> {
        either!(self, repository => repository.catalog_fingerprint().await)
    }

    /// Writes the articles of the catalog, unless a catalog was written before.
    pub(super) async fn stock(&self, catalog: Catalog) -> Result<(), EditError> {
        either!(self, repository => repository.stock(catalog).await)
    }

    /// One article.
    pub(super) async fn article(&self, sku: Sku) -> Result<Option<Article>, StorageError> {
        either!(self, repository => repository.article(sku).await)
    }

    /// At most `limit` articles after that SKU, in the order of their SKUs.
    pub(super) async fn articles(&self, after: String, limit: usize) -> Result<Vec<Article>, StorageError> {
        either!(self, repository => repository.articles(after, limit).await)
    }

    /// Creates or changes an article; the article as it is then.
    pub(super) async fn put(
        &self,
        update: ArticleUpdate,
        condition: EditCondition,
    ) -> Result<(PutOutcome, Article), EditError> {
        either!(self, repository => repository.put(update, condition).await)
    }

    /// Changes what is said of an article; the article as it is then.
    pub(super) async fn patch(
        &self,
        sku: Sku,
        patch: ArticlePatch,
        condition: EditCondition,
    ) -> Result<Article, EditError> {
        either!(self, repository => repository.patch(sku, patch, condition).await)
    }

    /// Changes the count of an article, once for each key.
    pub(super) async fn adjust(
        &self,
        request: AdjustmentRequest,
        condition: EditCondition,
    ) -> Result<AdjustOutcome, EditError> {
        either!(self, repository => repository.adjust(request, condition).await)
    }

    /// At most `limit` adjustments of an article before that number, the latest first.
    pub(super) async fn adjustments(
        &self,
        sku: Sku,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Adjustment>, StorageError> {
        either!(self, repository => repository.adjustments(sku, before, limit).await)
    }

    /// The prices of the items, read on the caller's thread: one look-up by the primary key for each item.
    pub(super) async fn quote(&self, items: Vec<RequestedItem>) -> Result<Vec<OrderLine>, QuoteError> {
        either!(self, repository => repository.quote(items).await)
    }

    /// Holds all lines, or none.
    pub(super) async fn reserve(
        &self,
        token: ClaimToken,
        lines: Arc<[OrderLine]>,
    ) -> Result<CommandOutcome, StorageError> {
        either!(self, repository => repository.reserve(token, lines).await)
    }

    /// Lets go of the goods that are held; a later reserve is refused.
    pub(super) async fn release(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        either!(self, repository => repository.release(token).await)
    }

    /// The goods that are held leave the shelf.
    pub(super) async fn commit(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        either!(self, repository => repository.commit(token).await)
    }

    /// Puts goods that left the shelf back, or lets go of those that are only held; a later reserve is
    /// refused.
    pub(super) async fn give_back(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        either!(self, repository => repository.give_back(token).await)
    }

    /// Fences off those lives.
    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        either!(self, repository => repository.fence(fence).await)
    }

    /// Removes some of what is kept for orders that are gone.
    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        either!(self, repository => repository.forget(window).await)
    }

    /// What inventory did for the order.
    pub(super) async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, StorageError> {
        either!(self, repository => repository.timeline(order).await)
    }

    /// The highest incarnation that a fence knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        either!(self, repository => repository.newest_incarnation().await)
    }

    /// The newest orders that have a reservation, the latest first.
    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.newest_orders(limit).await)
    }

    /// Those of the orders whose goods did not leave the shelf.
    pub(in crate::shop) async fn not_committed(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.not_committed(orders).await)
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
