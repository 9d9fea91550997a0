//! The inventory as others hold it: the contract's commands, and what the routes ask.

use std::sync::Arc;

use super::articles::{self, Article, ArticleUpdate, PutArticleError, PutOutcome};
use super::catalog;
use super::sqlite::reservations;
use crate::shop::contract::{
    ClaimToken, CommandOutcome, Fence, Inventory, OrderId, OrderLine, Participant, QuoteError, RequestedItem,
    Sku, TimelineEntry, TimelineError,
};
use crate::shop::recovery::clock::now_ms;
use crate::shop::recovery::fences;
use crate::shop::upkeep;
use crate::store::{Admission, ReadError, Store, Tx, WriteError};

/// The inventory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InventoryService {
    store: Store,
}

impl InventoryService {
    /// Over a store that was opened with this service's schema.
    #[must_use]
    pub fn new(store: Store) -> InventoryService {
        InventoryService { store }
    }

    /// Whether a catalog was put in before.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn is_stocked(&self) -> Result<bool, ReadError> {
        self.store.peek(catalog::is_loaded)
    }

    /// Puts the catalog in, unless one was put in before. However many workers boot at the same time, one does it.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn stock(&self, stockings: Vec<ArticleUpdate>) -> Result<(), WriteError<PutArticleError>> {
        let load = move |tx: &Tx<'_>| catalog::load(tx, &stockings, now_ms());
        self.store.write(Admission::Continue, load).await
    }

    /// One article.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn article(&self, sku: &Sku) -> Result<Option<Article>, ReadError> {
        self.store.peek(|connection| articles::find(connection, sku))
    }

    /// At most `limit` articles after `after`, by SKU.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn articles(&self, after: String, limit: usize) -> Result<Vec<Article>, ReadError> {
        self.store
            .read(move |connection| articles::list(connection, &after, limit))
            .await
    }

    /// Sets name, price and count of an article.
    ///
    /// # Errors
    /// As [`Store::write`]; [`PutArticleError::BelowReserved`] when more is held for orders.
    pub async fn put(&self, stocking: ArticleUpdate) -> Result<PutOutcome, WriteError<PutArticleError>> {
        self.store
            .write(Admission::New, move |tx: &Tx<'_>| articles::put(tx, &stocking))
            .await
    }

    /// Whether the store commits.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        self.store.probe().await
    }

    async fn command(
        &self,
        token: ClaimToken,
        job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<CommandOutcome> + Send + 'static,
    ) -> CommandOutcome {
        let fenced = move |tx: &Tx<'_>| match fences::bars(tx, token.life)? {
            true => Ok(CommandOutcome::Fenced),
            false => job(tx),
        };
        let answer = self.store.write(Admission::Continue, fenced).await;
        answer.unwrap_or_else(|error| upkeep::outcome("inventory", &error))
    }
}

impl Participant for InventoryService {
    async fn fence(&self, fence: Fence) -> Result<(), String> {
        let raise = move |tx: &Tx<'_>| fences::raise(tx, fence);
        upkeep::write(&self.store, "inventory", raise).await
    }

    async fn forget(&self, after: OrderId, before: OrderId, kept: Arc<[OrderId]>) -> Result<(), String> {
        let forget = move |tx: &Tx<'_>| reservations::forget(tx, after, before, &kept);
        upkeep::write(&self.store, "inventory", forget).await
    }

    async fn has_room(&self) -> bool {
        self.store.has_room().await
    }

    async fn story(&self, order: OrderId) -> Result<Vec<TimelineEntry>, TimelineError> {
        let told = self
            .store
            .peek(|connection| reservations::story(connection, order));
        told.map_err(|error| TimelineError(error.to_string()))
    }
}

impl Inventory for InventoryService {
    fn quote(&self, wanted: &[RequestedItem]) -> Result<Vec<OrderLine>, QuoteError> {
        let priced = self.store.peek(|connection| {
            let line = |wanted: &RequestedItem| {
                let price = articles::price(connection, &wanted.sku)?;
                Ok(price.map(|unit_price| OrderLine {
                    sku: wanted.sku.clone(),
                    quantity: wanted.quantity,
                    unit_price,
                }))
            };
            wanted
                .iter()
                .map(line)
                .collect::<rusqlite::Result<Vec<Option<OrderLine>>>>()
        });
        let priced = priced.map_err(|error| QuoteError::Unavailable(error.to_string()))?;
        let known = |(line, wanted): (Option<OrderLine>, &RequestedItem)| {
            line.ok_or_else(|| QuoteError::UnknownSku(wanted.sku.clone()))
        };
        priced.into_iter().zip(wanted).map(known).collect()
    }

    async fn reserve(&self, token: ClaimToken, lines: Arc<[OrderLine]>) -> CommandOutcome {
        self.command(token, move |tx| {
            reservations::reserve(tx, token, &lines, now_ms())
        })
        .await
    }

    async fn release(&self, token: ClaimToken) -> CommandOutcome {
        self.command(token, move |tx| reservations::release(tx, token, now_ms()))
            .await
    }

    async fn commit(&self, token: ClaimToken) -> CommandOutcome {
        self.command(token, move |tx| reservations::commit(tx, token, now_ms()))
            .await
    }

    async fn give_back(&self, token: ClaimToken) -> CommandOutcome {
        self.command(token, move |tx| reservations::give_back(tx, token, now_ms()))
            .await
    }
}
