//! The inventory as others hold it: the contract's commands, and what the routes ask.

use std::sync::Arc;

use super::articles::{Article, ArticleUpdate, PutArticleError, PutOutcome};
use super::catalog::Catalog;
use super::sqlite::InventoryRepository;
use crate::shop::contract::{
    ClaimToken, CommandOutcome, Fence, Inventory, OrderId, OrderLine, Participant, QuoteError, RequestedItem,
    Sku, StorageError, SweepWindow, TimelineEntry, TimelineError,
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
    /// [`PutArticleError`].
    pub async fn stock(&self, catalog: Catalog) -> Result<(), PutArticleError> {
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

    /// Sets name, price and count of an article.
    ///
    /// # Errors
    /// [`PutArticleError`].
    pub async fn put(&self, article: ArticleUpdate) -> Result<PutOutcome, PutArticleError> {
        self.repository.put(article).await
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
