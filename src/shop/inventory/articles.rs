//! Articles: reading them, and setting what a person counted.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::base::money::{Currency, Money};
use crate::shop::contract::Sku;

/// One article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// Its name for programs.
    pub sku: Sku,
    /// Its name for people.
    pub name: String,
    /// For one.
    pub unit_price: Money,
    /// How many lie on the shelf, held ones among them.
    pub on_hand: u64,
    /// How many of them are held for orders.
    pub reserved: u64,
}

/// What is put in for an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleUpdate {
    /// Which.
    pub sku: Sku,
    /// Its name for people.
    pub name: String,
    /// For one.
    pub unit_price: Money,
    /// How many lie on the shelf now, those held for orders among them.
    pub on_hand: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// There was no such article.
    Created,
    /// There was.
    Set,
}

/// Why it was not put in.
#[derive(Debug, thiserror::Error)]
pub enum PutArticleError {
    /// More is held for orders than would be there.
    #[error("{reserved} of {sku} are held for orders; on_hand cannot be set below that")]
    BelowReserved {
        /// Which article.
        sku: Sku,
        /// How many are held.
        reserved: u64,
    },
    /// SQLite's own error.
    #[error("failed to write the article: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

const COLUMNS: &str = "sku, name, amount, currency, on_hand, reserved";

impl Article {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Article> {
        Ok(Article {
            sku: text(row, 0)?,
            name: row.get(1)?,
            unit_price: Money {
                amount: count(row, 2)?,
                currency: text(row, 3)?,
            },
            on_hand: count(row, 4)?,
            reserved: count(row, 5)?,
        })
    }

    /// How many can be had.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// A validated text out of a column.
pub(super) fn text<T: TryFrom<String>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    T::try_from(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, count))
}

/// The price of one.
pub(super) fn price(connection: &Connection, sku: &Sku) -> rusqlite::Result<Option<Money>> {
    connection
        .prepare_cached("SELECT amount, currency FROM stock WHERE sku = ?1")?
        .query_row([sku.as_str()], |row| {
            Ok(Money {
                amount: count(row, 0)?,
                currency: text::<Currency>(row, 1)?,
            })
        })
        .optional()
}

/// One article.
pub(super) fn find(connection: &Connection, sku: &Sku) -> rusqlite::Result<Option<Article>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM stock WHERE sku = ?1"))?
        .query_row([sku.as_str()], Article::from_row)
        .optional()
}

/// At most `limit` articles after that one, by SKU.
pub(super) fn list(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<Article>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM stock WHERE sku > ?1 ORDER BY sku LIMIT ?2"
        ))?
        .query_map(
            (after, i64::try_from(limit).unwrap_or(i64::MAX)),
            Article::from_row,
        )?
        .collect()
}

/// Sets name, price and count. What is held for orders stays held and is part of the count.
pub(super) fn put(connection: &Connection, stocking: &ArticleUpdate) -> Result<PutOutcome, PutArticleError> {
    let known = find(connection, &stocking.sku)?;
    if let Some(known) = known.as_ref().filter(|known| known.reserved > stocking.on_hand) {
        return Err(PutArticleError::BelowReserved {
            sku: known.sku.clone(),
            reserved: known.reserved,
        });
    }
    connection
        .prepare_cached(
            "INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received)
             VALUES (:sku, :name, :amount, :currency, :on_hand, 0, :on_hand)
             ON CONFLICT (sku) DO UPDATE SET name = :name, amount = :amount, currency = :currency,
                 received = received + :on_hand - on_hand, on_hand = :on_hand",
        )?
        .execute(named_params! {
            ":sku": stocking.sku.as_str(),
            ":name": stocking.name,
            ":amount": stocking.unit_price.amount.cast_signed(),
            ":currency": stocking.unit_price.currency.as_str(),
            ":on_hand": stocking.on_hand.cast_signed(),
        })?;
    Ok(if known.is_some() {
        PutOutcome::Set
    } else {
        PutOutcome::Created
    })
}
