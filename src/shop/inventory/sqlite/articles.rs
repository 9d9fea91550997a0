//! The statements about articles and the catalog.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::base::money::{Currency, Money};
use crate::shop::contract::{OrderLine, RequestedItem, Sku};
use crate::shop::inventory::articles::{Article, ArticleUpdate, PutOutcome};
use crate::shop::inventory::catalog::Catalog;
use crate::shop::sqlite::validated;

const ARTICLE: &str = "SELECT sku, name, amount, currency, on_hand, reserved FROM stock WHERE sku = ?1";
const ARTICLES: &str = "SELECT sku, name, amount, currency, on_hand, reserved FROM stock
    WHERE sku > ?1 ORDER BY sku LIMIT ?2";

/// Begins the row that tells which catalog was loaded; its fingerprint follows.
const FINGERPRINT: &str = "catalog-sha256:";

/// Why an article was not written; rolls back the transaction.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPut {
    #[error("{reserved} of {sku} are held")]
    BelowReserved { sku: Sku, reserved: u64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

fn article(row: &Row<'_>) -> rusqlite::Result<Article> {
    Ok(Article {
        sku: validated(row, 0)?,
        name: row.get(1)?,
        unit_price: Money {
            amount: count(row, 2)?,
            currency: validated(row, 3)?,
        },
        on_hand: count(row, 4)?,
        reserved: count(row, 5)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, count))
}

/// Prices the items; the SKU that there is not, when there is one.
pub(super) fn quote(
    connection: &Connection,
    items: Vec<RequestedItem>,
) -> rusqlite::Result<Result<Vec<OrderLine>, Sku>> {
    let mut prices = connection.prepare_cached("SELECT amount, currency FROM stock WHERE sku = ?1")?;
    let mut lines = Vec::with_capacity(items.len());
    for RequestedItem { sku, quantity } in items {
        let price = |row: &Row<'_>| {
            Ok(Money {
                amount: count(row, 0)?,
                currency: validated::<Currency>(row, 1)?,
            })
        };
        let Some(unit_price) = prices.query_row([sku.as_str()], price).optional()? else {
            return Ok(Err(sku));
        };
        lines.push(OrderLine {
            sku,
            quantity,
            unit_price,
        });
    }
    Ok(Ok(lines))
}

/// One article.
pub(super) fn find(connection: &Connection, sku: &Sku) -> rusqlite::Result<Option<Article>> {
    connection
        .prepare_cached(ARTICLE)?
        .query_row([sku.as_str()], article)
        .optional()
}

/// At most `limit` articles after that SKU, in the order of their SKUs.
pub(super) fn list(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<Article>> {
    connection
        .prepare_cached(ARTICLES)?
        .query_map((after, i64::try_from(limit).unwrap_or(i64::MAX)), article)?
        .collect()
}

/// Sets name, price and count. What is held for orders stays held and is part of the count.
pub(super) fn put(tx: &Connection, article: &ArticleUpdate) -> Result<PutOutcome, NotPut> {
    let known = find(tx, &article.sku)?;
    if let Some(known) = known.as_ref().filter(|known| known.reserved > article.on_hand) {
        return Err(NotPut::BelowReserved {
            sku: known.sku.clone(),
            reserved: known.reserved,
        });
    }
    tx.prepare_cached(
        "INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received)
         VALUES (:sku, :name, :amount, :currency, :on_hand, 0, :on_hand)
         ON CONFLICT (sku) DO UPDATE SET name = :name, amount = :amount, currency = :currency,
             received = received + :on_hand - on_hand, on_hand = :on_hand",
    )?
    .execute(named_params! {
        ":sku": article.sku.as_str(),
        ":name": article.name,
        ":amount": article.unit_price.amount.cast_signed(),
        ":currency": article.unit_price.currency.as_str(),
        ":on_hand": article.on_hand.cast_signed(),
    })?;
    Ok(match known {
        Some(_) => PutOutcome::Updated,
        None => PutOutcome::Created,
    })
}

/// Whether a catalog was ever put into this file.
pub(super) fn is_stocked(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM loaded WHERE what = 'catalog'")?
        .exists([])
}

/// The fingerprint of the catalog that was put into this file, when that was written with it.
pub(super) fn catalog_fingerprint(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT substr(what, length(?1) + 1) FROM loaded WHERE what GLOB ?1 || '*'")?
        .query_row([FINGERPRINT], |row| row.get(0))
        .optional()
}

/// Writes all articles of the catalog, unless another worker was faster.
pub(super) fn stock(tx: &Connection, catalog: &Catalog, now_ms: u64) -> Result<(), NotPut> {
    if is_stocked(tx)? {
        return Ok(());
    }
    for article in &catalog.articles {
        put(tx, article)?;
    }
    let fingerprint = format!("{FINGERPRINT}{}", catalog.fingerprint);
    tx.execute(
        "INSERT INTO loaded (what, at_ms) VALUES ('catalog', ?1), (?2, ?1)",
        (now_ms.cast_signed(), fingerprint),
    )?;
    Ok(())
}
