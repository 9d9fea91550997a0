//! The catalog: what is on the shelf when the shop is first opened. Parsed and checked whole before anything is served.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Deserialize;
use toml::Spanned;

use super::articles::{self, ArticleUpdate, PutArticleError};
use crate::base::money::Money;
use crate::shop::contract::Sku;

/// The catalog that is compiled in.
pub const BUILT_IN: &str = include_str!("../../../config/catalog.toml");

/// More of one article is a mistake.
pub const MOST_ON_HAND: u64 = 1_000_000_000_000;
/// An article that costs more is a mistake; an order's total of any such lines still fits a column.
pub const MOST_AMOUNT: u64 = 1_000_000_000_000;
/// A longer name is a mistake.
pub const LONGEST_NAME: usize = 200;

/// Why a catalog is not used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be read.
    #[error(
        "failed to read the catalog {path:?}: {reason}; correct [shop] catalog, or remove it for the built-in one"
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        reason: std::io::Error,
    },
    /// What is in it is no catalog.
    #[error("failed to use the catalog {name}, line {line}: {reason}; correct it and start again")]
    Bad {
        /// Which, for people.
        name: String,
        /// Counted from 1.
        line: usize,
        /// What was read and what was expected.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    #[serde(default)]
    article: Vec<Spanned<CatalogEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogEntry {
    sku: Sku,
    name: String,
    unit_price: Money,
    on_hand: u64,
}

/// The catalog at `path`, or the built-in one.
///
/// # Errors
/// [`CatalogError`].
pub fn read(path: Option<&Path>) -> Result<Vec<ArticleUpdate>, CatalogError> {
    let Some(path) = path else {
        return parse("that is built in", BUILT_IN);
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|reason| CatalogError::Unreadable {
        path: path.to_owned(),
        reason,
    })?;
    parse(&format!("{path:?}"), &text)
}

/// Reads a catalog's text.
///
/// # Errors
/// [`CatalogError::Bad`] with the line.
pub fn parse(name: &str, text: &str) -> Result<Vec<ArticleUpdate>, CatalogError> {
    let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let bad = |offset, reason| CatalogError::Bad {
        name: name.to_owned(),
        line: line(offset),
        reason,
    };
    let file: CatalogFile = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        bad(offset, error.message().replace('\n', ", "))
    })?;
    let mut seen: HashMap<Sku, usize> = HashMap::new();
    let mut stockings = Vec::with_capacity(file.article.len());
    for entry in file.article {
        let offset = entry.span().start;
        let stocking = entry
            .into_inner()
            .stocking()
            .map_err(|reason| bad(offset, reason))?;
        if let Some(first) = seen.insert(stocking.sku.clone(), line(offset)) {
            let reason = format!(
                "the SKU {:?} stands on line {first} already, expected each once",
                stocking.sku.as_str()
            );
            return Err(bad(offset, reason));
        }
        stockings.push(stocking);
    }
    Ok(stockings)
}

impl CatalogEntry {
    fn stocking(self) -> Result<ArticleUpdate, String> {
        let CatalogEntry {
            sku,
            name,
            unit_price,
            on_hand,
        } = self;
        let stocking = ArticleUpdate {
            sku,
            name,
            unit_price,
            on_hand,
        };
        check(&stocking).map_err(|(key, reason)| format!("{key} of {}: {reason}", stocking.sku))?;
        Ok(stocking)
    }
}

/// The bounds of an article, of the catalog's and of a PUT's alike: which key is out of them, and what was expected.
///
/// # Errors
/// The key and the expectation.
pub fn check(stocking: &ArticleUpdate) -> Result<(), (&'static str, String)> {
    if stocking.name.trim().is_empty() || stocking.name.len() > LONGEST_NAME {
        return Err(("name", format!("expected 1 to {LONGEST_NAME} bytes")));
    }
    if stocking.unit_price.amount > MOST_AMOUNT {
        return Err(("unit_price.amount", format!("expected 0 to {MOST_AMOUNT}")));
    }
    if stocking.on_hand > MOST_ON_HAND {
        return Err(("on_hand", format!("expected 0 to {MOST_ON_HAND}")));
    }
    Ok(())
}

/// Whether a catalog was ever put into this file.
pub(super) fn is_loaded(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM loaded WHERE what = 'catalog'")?
        .exists([])
}

/// Puts everything in, in one transaction, unless a sibling was faster.
pub(super) fn load(tx: &Connection, stockings: &[ArticleUpdate], now_ms: u64) -> Result<(), PutArticleError> {
    if is_loaded(tx)? {
        return Ok(());
    }
    for stocking in stockings {
        articles::put(tx, stocking)?;
    }
    tx.execute(
        "INSERT INTO loaded (what, at_ms) VALUES ('catalog', ?1)",
        [now_ms.cast_signed()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_one_is_good_and_has_the_readmes_cup() {
        let stockings = read(None).unwrap();
        let cup = stockings
            .iter()
            .find(|stocking| stocking.sku.as_str() == "espresso-cup")
            .unwrap();
        assert_eq!(cup.unit_price.to_string(), "450 USD");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = "[[article]]\nsku = \"cup\"\nname = \"Cup\"\nunit_price = { amount = 1, currency = \"USD\" }\non_hand = 1\n";
        let says = |text: &str| parse("x", text).unwrap_err().to_string();
        assert!(parse("x", good).is_ok());
        assert!(says(&format!("{good}{good}")).contains("line 6: the SKU \"cup\" stands on line 1 already"));
        assert!(says(&good.replace("on_hand = 1", "on_hand = -1")).contains("line 5"));
        assert!(says(&good.replace("\"USD\"", "\"usd\"")).contains("is not a currency"));
        assert!(says(&good.replace("\"cup\"", "\"a cup\"")).contains("is not a SKU"));
        assert!(says(&good.replace("name = \"Cup\"\n", "")).contains("missing field `name`"));
        assert!(says(&good.replace("\"Cup\"", "\"\"")).contains("name of cup"));
        assert!(says(&format!("{good}stcok = 1\n")).contains("unknown field `stcok`"));
        assert!(
            read(Some(Path::new("/nowhere/catalog.toml")))
                .unwrap_err()
                .to_string()
                .contains("/nowhere")
        );
    }
}
