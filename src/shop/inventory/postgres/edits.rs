//! Edits of articles. Each reads, judges, and writes if the article is still as it was read: a judge of this
//! program cannot be asked by the database.

use super::{PostgresInventory, row};
use crate::postgres::{Call, Row};
use crate::shop::contract::{Sku, StorageError};
use crate::shop::inventory::adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
use crate::shop::inventory::articles::{
    Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome,
};
use crate::shop::inventory::catalog::{Catalog, MOST_ON_HAND};
use crate::shop::postgres::{Columns, json};
use crate::store::Admission;

/// How often an edit is judged anew because an order, or somebody else, was faster.
const TRIES: usize = 50;

/// An article of a catalog, as the database's function reads it.
#[derive(serde::Serialize)]
struct LoadedArticle<'a> {
    sku: &'a str,
    name: &'a str,
    amount: u64,
    currency: &'a str,
    on_hand: u64,
    on_sale: bool,
}

impl PostgresInventory {
    pub(in crate::shop::inventory) async fn stock(&self, catalog: Catalog) -> Result<(), EditError> {
        let articles: Vec<LoadedArticle<'_>> = catalog
            .articles
            .iter()
            .map(|article| LoadedArticle {
                sku: article.sku.as_str(),
                name: &article.name,
                amount: article.unit_price.amount,
                currency: article.unit_price.currency.as_str(),
                on_hand: article.on_hand,
                on_sale: article.on_sale.unwrap_or(true),
            })
            .collect();
        let load = Call::new("SELECT loaded_1($1, $2, $3)")
            .bind(catalog.fingerprint)
            .bind(json(&articles))
            .bind(self.now())
            .signals();
        self.store
            .write(Admission::Continue, load)
            .await
            .map_err(StorageError::from)?;
        Ok(())
    }

    pub(in crate::shop::inventory) async fn put(
        &self,
        update: ArticleUpdate,
        condition: EditCondition,
    ) -> Result<(PutOutcome, Article), EditError> {
        for _ in 0..TRIES {
            let known = self.article(update.sku.clone()).await?;
            condition.check(known.as_ref())?;
            if let Some(known) = &known {
                known.check_count(update.on_hand, &condition)?;
            }
            let article = Article {
                sku: update.sku.clone(),
                name: update.name.clone(),
                unit_price: update.unit_price,
                on_hand: update.on_hand,
                reserved: known.as_ref().map_or(0, |known| known.reserved),
                on_sale: update
                    .on_sale
                    .unwrap_or(known.as_ref().is_none_or(|known| known.on_sale)),
                changed_ms: None,
            };
            if let Some(article) = self.write_article(article, known.as_ref()).await? {
                let outcome = match known {
                    Some(_) => PutOutcome::Updated,
                    None => PutOutcome::Created,
                };
                return Ok((outcome, article));
            }
        }
        Err(contended(&update.sku))
    }

    pub(in crate::shop::inventory) async fn patch(
        &self,
        sku: Sku,
        patch: ArticlePatch,
        condition: EditCondition,
    ) -> Result<Article, EditError> {
        for _ in 0..TRIES {
            let known = self.article(sku.clone()).await?.ok_or(EditError::NoArticle)?;
            condition.check(Some(&known))?;
            let patched = patch.clone().applied_to(known.clone());
            if patched == known {
                return Ok(known);
            }
            if let Some(article) = self.write_article(patched, Some(&known)).await? {
                return Ok(article);
            }
        }
        Err(contended(&sku))
    }

    /// Writes the article if it is as it was read; the article as it is then.
    async fn write_article(
        &self,
        article: Article,
        known: Option<&Article>,
    ) -> Result<Option<Article>, EditError> {
        let now = self.now();
        let put = "SELECT put_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let put = Call::new(put)
            .bind(article.sku.as_str().to_owned())
            .bind(article.name.clone())
            .bind(article.unit_price.amount.cast_signed())
            .bind(article.unit_price.currency.as_str().to_owned())
            .bind(article.on_hand.cast_signed())
            .bind(article.on_sale)
            .bind(now);
        let rows = self.edit(as_read(put, known)).await?;
        let is_written: bool = Columns(first(&rows)?).get(0)?;
        Ok(is_written.then_some(Article {
            changed_ms: Some(now.cast_unsigned()),
            ..article
        }))
    }

    pub(in crate::shop::inventory) async fn adjust(
        &self,
        request: AdjustmentRequest,
        condition: EditCondition,
    ) -> Result<AdjustOutcome, EditError> {
        for _ in 0..TRIES {
            if let Some(before) = self.made_before(&request).await? {
                return Ok(AdjustOutcome::MadeBefore(before));
            }
            let known = self
                .article(request.sku.clone())
                .await?
                .ok_or(EditError::NoArticle)?;
            condition.check(Some(&known))?;
            let on_hand = known.adjusted_by(request.delta, MOST_ON_HAND)?;
            let now = self.now();
            let adjust = Call::new("SELECT adjust_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
                .bind(request.sku.as_str().to_owned())
                .bind(request.delta)
                .bind(request.reason.clone())
                .bind(request.key.clone())
                .bind(now);
            let rows = self.edit(as_read(adjust, Some(&known))).await?;
            let number: Option<i64> = Columns(first(&rows)?).get(0)?;
            if let Some(number) = number {
                return Ok(AdjustOutcome::Made(Adjustment {
                    number,
                    sku: request.sku,
                    delta: request.delta,
                    reason: request.reason,
                    on_hand,
                    at_ms: now.cast_unsigned(),
                }));
            }
        }
        Err(contended(&request.sku))
    }

    async fn made_before(&self, request: &AdjustmentRequest) -> Result<Option<Adjustment>, EditError> {
        let find = "SELECT number, sku, delta, reason, on_hand, at_ms FROM adjustments WHERE key = $1";
        let rows = self
            .store
            .look_up(Call::new(find).bind(request.key.clone()))
            .await;
        let rows = rows.map_err(StorageError::from)?;
        let known = rows
            .first()
            .map(|row| row::adjustment(Columns(row)))
            .transpose()?;
        match known {
            Some(known) if !request.is_same_as(&known) => Err(EditError::KeyReused),
            known => Ok(known),
        }
    }

    async fn edit(&self, call: Call) -> Result<Vec<Row>, StorageError> {
        // When it was made and the answer is lost, the article is no longer as it was read.
        Ok(self
            .store
            .write(Admission::New, call.not_repeated().signals())
            .await?)
    }
}

/// With the article as it was read.
fn as_read(call: Call, known: Option<&Article>) -> Call {
    call.bind(known.map(|known| known.on_hand.cast_signed()))
        .bind(known.map(|known| known.reserved.cast_signed()))
        .bind(known.map(|known| known.name.clone()))
        .bind(known.map(|known| known.unit_price.amount.cast_signed()))
        .bind(known.map(|known| known.unit_price.currency.as_str().to_owned()))
        .bind(known.map(|known| known.on_sale))
        .bind(known.map(|known| known.changed_ms.unwrap_or(0).cast_signed()))
}

fn first(rows: &[Row]) -> Result<&Row, StorageError> {
    rows.first()
        .ok_or_else(|| StorageError::Failed("an edit was not answered".to_owned()))
}

fn contended(sku: &Sku) -> EditError {
    let reason = format!("{sku} was changed by others again and again while it was to be edited");
    EditError::Storage(StorageError::Locked(reason))
}
