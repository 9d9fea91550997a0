//! The catalog: the articles that are on the shelf when the shop is first opened. The whole file is parsed
//! and checked before anything is served.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::articles::ArticleUpdate;
use crate::base::money::Money;
use crate::shop::contract::Sku;

/// The catalog that is compiled into the program.
pub const BUILT_IN: &str = include_str!("../../../config/catalog.toml");

/// The largest number of pieces of one article; a larger one is taken for a mistake.
pub const MOST_ON_HAND: u64 = 1_000_000_000_000;
/// The highest price of one piece, in minor units of the currency. The total of any order of such articles
/// fits a column.
pub const MOST_AMOUNT: u64 = 1_000_000_000_000;
/// The longest name of an article, in bytes.
pub const LONGEST_NAME: usize = 200;

/// Why a catalog is not used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be read.
    #[error(
        "failed to read the catalog {path:?}: {reason}; correct [shop] catalog, or remove it for the built-in one"
    )]
    Unreadable {
        /// The catalog's file.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The file was read and is not a catalog.
    #[error("failed to use the catalog {name}, line {line}: {reason}; correct it and start again")]
    Bad {
        /// The catalog's name, for people.
        name: String,
        /// The line of the mistake, counted from 1.
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

/// A catalog that was read.
#[derive(Debug)]
pub struct Catalog {
    /// Its articles.
    pub articles: Vec<ArticleUpdate>,
    /// The hash of its text, by which the same catalog is known again.
    pub fingerprint: String,
}

/// The catalog at `path`, or the built-in one.
///
/// # Errors
/// [`CatalogError`].
pub fn read(path: Option<&Path>) -> Result<Catalog, CatalogError> {
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

/// The hash of a catalog's text.
#[must_use]
pub fn fingerprint(text: &[u8]) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    Sha256::digest(text).iter().map(hex).collect()
}

/// Reads the text of a catalog.
///
/// # Errors
/// [`CatalogError::Bad`] with the line.
pub fn parse(name: &str, text: &str) -> Result<Catalog, CatalogError> {
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
    let mut articles = Vec::with_capacity(file.article.len());
    for entry in file.article {
        let offset = entry.span().start;
        let article = entry
            .into_inner()
            .checked()
            .map_err(|reason| bad(offset, reason))?;
        if let Some(first) = seen.insert(article.sku.clone(), line(offset)) {
            let reason = format!(
                "the SKU {:?} stands on line {first} already, expected each once",
                article.sku.as_str()
            );
            return Err(bad(offset, reason));
        }
        articles.push(article);
    }
    Ok(Catalog {
        articles,
        fingerprint: fingerprint(text.as_bytes()),
    })
}

impl CatalogEntry {
    fn checked(self) -> Result<ArticleUpdate, String> {
        let CatalogEntry {
            sku,
            name,
            unit_price,
            on_hand,
        } = self;
        let article = ArticleUpdate {
            sku,
            name,
            unit_price,
            on_hand,
            on_sale: None,
        };
        check(&article).map_err(|(key, reason)| format!("{key} of {}: {reason}", article.sku))?;
        Ok(article)
    }
}

/// Checks the bounds of an article, whether it comes from the catalog or from a PUT.
///
/// # Errors
/// The key that is out of its bounds, and what was expected.
pub fn check(article: &ArticleUpdate) -> Result<(), (&'static str, String)> {
    check_name(&article.name)?;
    check_amount(article.unit_price.amount)?;
    if article.on_hand > MOST_ON_HAND {
        return Err(("on_hand", format!("expected 0 to {MOST_ON_HAND}")));
    }
    Ok(())
}

/// Checks a name.
///
/// # Errors
/// As [`check`].
pub fn check_name(name: &str) -> Result<(), (&'static str, String)> {
    match name.trim().is_empty() || name.len() > LONGEST_NAME {
        true => Err(("name", format!("expected 1 to {LONGEST_NAME} bytes"))),
        false => Ok(()),
    }
}

/// Checks the price of one piece, in minor units of its currency.
///
/// # Errors
/// As [`check`].
pub fn check_amount(amount: u64) -> Result<(), (&'static str, String)> {
    match amount > MOST_AMOUNT {
        true => Err(("unit_price.amount", format!("expected 0 to {MOST_AMOUNT}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_one_is_good_and_has_the_readmes_cup() {
        let articles = read(None).unwrap().articles;
        let cup = articles
            .iter()
            .find(|article| article.sku.as_str() == "espresso-cup")
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
