//! The inventory as others hold it: the contract's commands, and what the routes ask.

use std::sync::Arc;

use super::adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
use super::articles::{Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome};
use super::catalog::Catalog;
use super::stores::InventoryRepository;
use crate::shop::contract::{
    ClaimToken, CommandOutcome, EventSource, EventsAfter, Fence, Inventory, OrderId, OrderLine, Participant,
    QuoteError, RequestedItem, Sku, StorageError, SweepWindow, TimelineEntry, TimelineError,
};

/// The inventory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InventoryService {
    repository: InventoryRepository,
}

impl InventoryService {
    /// Over what that repository stores.
    #[must_use]
    pub fn new(repository: InventoryRepository) -> InventoryService {
        InventoryService { repository }
    }

    /// Whether a catalog was ever written.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn is_stocked(&self) -> Result<bool, StorageError> {
        self.repository.is_stocked().await
    }

    /// The fingerprint of the catalog that was written. `None` when none was, or by a program that did not
    /// write its fingerprint.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn catalog_fingerprint(&self) -> Result<Option<String>, StorageError> {
        self.repository.catalog_fingerprint().await
    }

    /// Writes the articles of the catalog, unless a catalog was written before. However many workers boot at
    /// the same time, one of them does it.
    ///
    /// # Errors
    /// [`EditError::Storage`].
    pub async fn stock(&self, catalog: Catalog) -> Result<(), EditError> {
        self.repository.stock(catalog).await
    }

    /// One article.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn article(&self, sku: Sku) -> Result<Option<Article>, StorageError> {
        self.repository.article(sku).await
    }

    /// At most `limit` articles after that SKU, in the order of their SKUs.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn articles(&self, after: String, limit: usize) -> Result<Vec<Article>, StorageError> {
        self.repository.articles(after, limit).await
    }

    /// Sets name, price, count and sale state of an article, and tells the article as it is then. The count
    /// of an article that there is is replaced only under a condition that names its state.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn put(
        &self,
        update: ArticleUpdate,
        condition: EditCondition,
    ) -> Result<(PutOutcome, Article), EditError> {
        self.repository.put(update, condition).await
    }

    /// Changes name, price or sale state of an article, and tells the article as it is then.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn patch(
        &self,
        sku: Sku,
        patch: ArticlePatch,
        condition: EditCondition,
    ) -> Result<Article, EditError> {
        self.repository.patch(sku, patch, condition).await
    }

    /// Adds pieces to the shelf, or takes some away, once for each key. The request was checked.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn adjust(
        &self,
        request: AdjustmentRequest,
        condition: EditCondition,
    ) -> Result<AdjustOutcome, EditError> {
        self.repository.adjust(request, condition).await
    }

    /// At most `limit` adjustments of an article before that number, the latest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn adjustments(
        &self,
        sku: Sku,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Adjustment>, StorageError> {
        self.repository.adjustments(sku, before, limit).await
    }

    /// Whether the store commits.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        self.repository.probe().await
    }
}

fn answered(answer: Result<CommandOutcome, StorageError>) -> CommandOutcome {
    answer.unwrap_or_else(|error| CommandOutcome::of_failure("inventory", &error))
}

impl Participant for InventoryService {
    async fn fence(&self, fence: Fence) -> Result<(), String> {
        let raised = self.repository.fence(fence).await;
        raised.map_err(|error| format!("inventory: {error}"))
    }

    async fn forget(&self, window: SweepWindow) -> Result<(), String> {
        let forgotten = self.repository.forget(window).await;
        forgotten.map_err(|error| format!("inventory: {error}"))
    }

    async fn trim_events(&self, before_ms: u64) -> Result<(), String> {
        let trimmed = self.repository.trim_events(before_ms).await;
        trimmed.map_err(|error| format!("inventory: {error}"))
    }

    async fn accepts_new_work(&self) -> Result<(), StorageError> {
        self.repository.accepts_new_work().await
    }

    async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, TimelineError> {
        let entries = self.repository.timeline(order).await;
        entries.map_err(|error| TimelineError(error.to_string()))
    }
}

impl Inventory for InventoryService {
    async fn quote(&self, items: Vec<RequestedItem>) -> Result<Vec<OrderLine>, QuoteError> {
        self.repository.quote(items).await
    }

    async fn reserve(&self, token: ClaimToken, lines: Arc<[OrderLine]>) -> CommandOutcome {
        answered(self.repository.reserve(token, lines).await)
    }

    async fn release(&self, token: ClaimToken) -> CommandOutcome {
        answered(self.repository.release(token).await)
    }

    async fn commit(&self, token: ClaimToken) -> CommandOutcome {
        answered(self.repository.commit(token).await)
    }

    async fn give_back(&self, token: ClaimToken) -> CommandOutcome {
        answered(self.repository.give_back(token).await)
    }
}

impl EventSource for InventoryService {
    async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        self.repository.events_after(number, limit).await
    }
}
