//! Articles: what is for sale, at which price, and how many there are.

use std::fmt;

use crate::base::money::{Currency, Money};
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
    /// Whether it can be ordered. Orders that were placed before go on.
    pub on_sale: bool,
    /// When anything of it last changed, in milliseconds since 1970; `None` when nothing changed since the
    /// file was brought up to the version that knows.
    pub changed_ms: Option<u64>,
}

impl Article {
    /// Whether the count may be replaced by this one: only by a client that has read the one before, and
    /// never by less than what is held.
    pub(super) fn check_count(&self, on_hand: u64, condition: &EditCondition) -> Result<(), EditError> {
        if self.on_hand != on_hand && !condition.names_state() {
            return Err(EditError::CountUnguarded {
                sku: self.sku.clone(),
                on_hand: self.on_hand,
            });
        }
        match self.reserved > on_hand {
            true => Err(self.below_reserved()),
            false => Ok(()),
        }
    }

    /// How many pieces are on the shelf after this adjustment, if that is possible and not more than `most`.
    pub(super) fn adjusted_by(&self, delta: i64, most: u64) -> Result<u64, EditError> {
        let on_hand = self.on_hand.checked_add_signed(delta);
        match on_hand.filter(|on_hand| *on_hand >= self.reserved) {
            Some(on_hand) if on_hand <= most => Ok(on_hand),
            Some(_) => Err(EditError::TooMany {
                sku: self.sku.clone(),
                most,
            }),
            None => Err(self.below_reserved()),
        }
    }

    fn below_reserved(&self) -> EditError {
        EditError::BelowReserved {
            sku: self.sku.clone(),
            reserved: self.reserved,
        }
    }

    /// How many pieces are on the shelf and held for no order.
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
    /// Whether the article can be ordered; as before when not said, and a new one can.
    pub on_sale: Option<bool>,
}

/// A change of what is said of an article. What is `None` stays. Counts are not among it: they change by
/// [`AdjustmentRequest`](super::AdjustmentRequest), so that no sale is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArticlePatch {
    /// The article's name for people.
    pub name: Option<String>,
    /// The price of one piece, in minor units of its currency.
    pub amount: Option<u64>,
    /// The currency of the price.
    pub currency: Option<Currency>,
    /// Whether the article can be ordered.
    pub on_sale: Option<bool>,
}

impl ArticlePatch {
    /// The article with this change.
    #[must_use]
    pub fn applied_to(self, known: Article) -> Article {
        Article {
            name: self.name.unwrap_or(known.name),
            unit_price: Money {
                amount: self.amount.unwrap_or(known.unit_price.amount),
                currency: self.currency.unwrap_or(known.unit_price.currency),
            },
            on_sale: self.on_sale.unwrap_or(known.on_sale),
            ..known
        }
    }
}

/// Judges an article as it is.
type ArticleJudge = dyn Fn(Option<&Article>) -> bool + Send;

/// What must be true of an article for an edit to be made. It is judged inside the transaction that makes the
/// edit; no article is `None`.
pub struct EditCondition {
    holds: Box<ArticleJudge>,
    names_state: bool,
}

impl EditCondition {
    /// No condition at all.
    #[must_use]
    pub fn none() -> EditCondition {
        EditCondition {
            holds: Box::new(|_| true),
            names_state: false,
        }
    }

    /// The edit is made if `holds` says so. `names_state` says that the article must be as the client has
    /// read it: only then may a count be replaced by another.
    #[must_use]
    pub fn new(
        names_state: bool,
        holds: impl Fn(Option<&Article>) -> bool + Send + 'static,
    ) -> EditCondition {
        EditCondition {
            holds: Box::new(holds),
            names_state,
        }
    }

    /// Whether the article must be as the client has read it.
    pub(super) fn names_state(&self) -> bool {
        self.names_state
    }

    /// Checks the condition.
    ///
    /// # Errors
    /// [`EditError::ConditionFailed`].
    pub(super) fn check(&self, known: Option<&Article>) -> Result<(), EditError> {
        match (self.holds)(known) {
            true => Ok(()),
            false => Err(EditError::ConditionFailed(known.cloned().map(Box::new))),
        }
    }
}

impl fmt::Debug for EditCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EditCondition")
            .field("names_state", &self.names_state)
            .finish_non_exhaustive()
    }
}

/// What an [`ArticleUpdate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// There was no such article before.
    Created,
    /// The article existed and was changed.
    Updated,
}

/// Why an article was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such article.
    #[error("there is no article with this SKU")]
    NoArticle,
    /// The condition of the edit is not true of the article as it is, or of there being none.
    #[error("the article is not as the condition of the request says")]
    ConditionFailed(Option<Box<Article>>),
    /// The count of an article would be replaced by a client that does not say which count it has read.
    #[error("{on_hand} of {sku} are on hand, and orders may change that at any time")]
    CountUnguarded {
        /// The article.
        sku: Sku,
        /// How many pieces are on the shelf.
        on_hand: u64,
    },
    /// More pieces are held for orders than would be on the shelf.
    #[error("{reserved} of {sku} are held for orders; on_hand cannot become less than that")]
    BelowReserved {
        /// The article.
        sku: Sku,
        /// How many pieces are held.
        reserved: u64,
    },
    /// More pieces would be on the shelf than are counted.
    #[error("there would be more than {most} of {sku}, which is taken for a mistake")]
    TooMany {
        /// The article.
        sku: Sku,
        /// The largest number of pieces.
        most: u64,
    },
    /// Another adjustment was made under the same key.
    #[error("the idempotency key was used with another adjustment")]
    KeyReused,
    /// The transaction failed.
    #[error("failed to write the article: {0}")]
    Storage(#[from] StorageError),
}
