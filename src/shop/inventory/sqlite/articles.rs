//! The statements about articles and the catalog.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::outbox;
use crate::base::money::{Currency, Money};
use crate::shop::contract::{OrderLine, QuoteError, RequestedItem, Sku};
use crate::shop::inventory::articles::{
    Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome,
};
use crate::shop::inventory::catalog::Catalog;
use crate::shop::sqlite::{row_count, validated};
use crate::store::Tx;

const ARTICLE: &str = "SELECT sku, name, amount, currency, on_hand, reserved, on_sale, changed_ms FROM stock
    WHERE sku = ?1";
const ARTICLES: &str = "SELECT sku, name, amount, currency, on_hand, reserved, on_sale, changed_ms FROM stock
    WHERE sku > ?1 ORDER BY sku LIMIT ?2";

/// Begins the row that tells which catalog was loaded; its fingerprint follows.
const FINGERPRINT: &str = "catalog-sha256:";

/// Why nothing was written; rolls back the transaction.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotEdited {
    #[error(transparent)]
    Refused(#[from] EditError),
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
        on_sale: row.get(6)?,
        changed_ms: Some(count(row, 7)?).filter(|changed_ms| *changed_ms > 0),
    })
}

/// A column that is not negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, count))
}

/// Prices the items, unless one of them is no article or cannot be ordered.
pub(super) fn quote(
    connection: &Connection,
    items: Vec<RequestedItem>,
) -> rusqlite::Result<Result<Vec<OrderLine>, QuoteError>> {
    let mut prices =
        connection.prepare_cached("SELECT amount, currency, on_sale FROM stock WHERE sku = ?1")?;
    let mut lines = Vec::with_capacity(items.len());
    for RequestedItem { sku, quantity } in items {
        let price = |row: &Row<'_>| {
            let unit_price = Money {
                amount: count(row, 0)?,
                currency: validated::<Currency>(row, 1)?,
            };
            Ok((unit_price, row.get(2)?))
        };
        let unit_price = match prices.query_row([sku.as_str()], price).optional()? {
            None => return Ok(Err(QuoteError::UnknownSku(sku))),
            Some((_, false)) => return Ok(Err(QuoteError::NotOnSale(sku))),
            Some((unit_price, true)) => unit_price,
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
        .query_map((after, row_count(limit)), article)?
        .collect()
}

/// Sets name, price, count and sale state. What is held for orders stays held and is part of the count.
pub(super) fn put(
    tx: &Tx<'_>,
    update: ArticleUpdate,
    condition: &EditCondition,
    now_ms: u64,
) -> Result<(PutOutcome, Article), NotEdited> {
    let known = find(tx, &update.sku)?;
    condition.check(known.as_ref())?;
    if let Some(known) = &known {
        known.check_count(update.on_hand, condition)?;
    }
    tx.prepare_cached(
        "INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received, on_sale, changed_ms)
         VALUES (:sku, :name, :amount, :currency, :on_hand, 0, :on_hand, coalesce(:on_sale, 1), :now_ms)
         ON CONFLICT (sku) DO UPDATE SET name = :name, amount = :amount, currency = :currency,
             received = received + :on_hand - on_hand, on_hand = :on_hand,
             on_sale = coalesce(:on_sale, on_sale), changed_ms = :now_ms",
    )?
    .execute(named_params! {
        ":sku": update.sku.as_str(),
        ":name": update.name,
        ":amount": update.unit_price.amount.cast_signed(),
        ":currency": update.unit_price.currency.as_str(),
        ":on_hand": update.on_hand.cast_signed(),
        ":on_sale": update.on_sale,
        ":now_ms": now_ms.cast_signed(),
    })?;
    outbox::announce(tx, &update.sku, now_ms)?;
    let outcome = match known {
        Some(_) => PutOutcome::Updated,
        None => PutOutcome::Created,
    };
    let before = known.map(|known| (known.reserved, known.on_sale));
    let (reserved, on_sale) = before.unwrap_or((0, true));
    let article = Article {
        sku: update.sku,
        name: update.name,
        unit_price: update.unit_price,
        on_hand: update.on_hand,
        reserved,
        on_sale: update.on_sale.unwrap_or(on_sale),
        changed_ms: Some(now_ms),
    };
    Ok((outcome, article))
}

/// Changes what is said of an article, and no count.
pub(super) fn patch(
    tx: &Tx<'_>,
    sku: &Sku,
    patch: ArticlePatch,
    condition: &EditCondition,
    now_ms: u64,
) -> Result<Article, NotEdited> {
    let known = find(tx, sku)?.ok_or(EditError::NoArticle)?;
    condition.check(Some(&known))?;
    let patched = patch.applied_to(known.clone());
    if patched == known {
        return Ok(known);
    }
    tx.prepare_cached(
        "UPDATE stock SET name = ?2, amount = ?3, currency = ?4, on_sale = ?5, changed_ms = ?6
         WHERE sku = ?1",
    )?
    .execute((
        sku.as_str(),
        &patched.name,
        patched.unit_price.amount.cast_signed(),
        patched.unit_price.currency.as_str(),
        patched.on_sale,
        now_ms.cast_signed(),
    ))?;
    outbox::announce(tx, sku, now_ms)?;
    Ok(Article {
        changed_ms: Some(now_ms),
        ..patched
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
pub(super) fn stock(tx: &Tx<'_>, catalog: Catalog, now_ms: u64) -> Result<(), NotEdited> {
    if is_stocked(tx)? {
        return Ok(());
    }
    let always = EditCondition::none();
    for article in catalog.articles {
        put(tx, article, &always, now_ms)?;
    }
    let fingerprint = format!("{FINGERPRINT}{}", catalog.fingerprint);
    tx.execute(
        "INSERT INTO loaded (what, at_ms) VALUES ('catalog', ?1), (?2, ?1)",
        (now_ms.cast_signed(), fingerprint),
    )?;
    Ok(())
}
