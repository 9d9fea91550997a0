//! Articles: what is for sale, at which price, and how many there are.

use crate::base::money::Money;
use crate::shop::contract::{Sku, StorageError};

/// One article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// Its name for programs.
    pub sku: Sku,
    /// Its name for people.
    pub name: String,
    /// The price of one piece.
    pub unit_price: Money,
    /// How many pieces lie on the shelf, including those that are held for orders.
    pub on_hand: u64,
    /// How many of these pieces are held for orders.
    pub reserved: u64,
}

impl Article {
    /// How many pieces can be ordered.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// What a person, or the catalog, says of an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleUpdate {
    /// The article's name for programs.
    pub sku: Sku,
    /// The article's name for people.
    pub name: String,
    /// The price of one piece.
    pub unit_price: Money,
    /// How many pieces lie on the shelf now, including those that are held for orders.
    pub on_hand: u64,
}

/// What an [`ArticleUpdate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// There was no such article before.
    Created,
    /// The article existed and was changed.
    Updated,
}

/// Why an article was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutArticleError {
    /// More pieces are held for orders than would be on the shelf.
    #[error("{reserved} of {sku} are held for orders; on_hand cannot be set below that")]
    BelowReserved {
        /// The article.
        sku: Sku,
        /// How many pieces are held.
        reserved: u64,
    },
    /// The transaction failed.
    #[error("failed to write the article: {0}")]
    Storage(#[from] StorageError),
}
