//! `shop.v1.Inventory`: articles. What changes an article is for internal clients alone, as over HTTP.

use http::HeaderMap;
use tonic::{Request, Response, Status};

use super::messages;
use super::v1;
use super::v1::inventory_server::Inventory;
use crate::shop::contract::Sku;
use crate::shop::http::article_bodies::{AdjustmentBody, PatchArticleBody};
use crate::shop::http::articles::ArticlesList;
use crate::shop::http::conditions::Preconditions;
use crate::shop::http::page::ListQuery;
use crate::shop::http::{AppState, adjustments, articles};
use crate::shop::inventory::{AdjustOutcome, Article};

pub(super) struct InventoryEndpoint(pub(super) AppState);

impl InventoryEndpoint {
    /// The metadata and the message of a call that only internal clients may make.
    fn internal<T>(&self, request: Request<T>) -> Result<(HeaderMap, T), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let headers = metadata.into_headers();
        self.0.internal.check(&headers, &extensions)?;
        Ok((headers, message))
    }
}

#[tonic::async_trait]
impl Inventory for InventoryEndpoint {
    async fn get(
        &self,
        request: Request<v1::InventoryGetRequest>,
    ) -> Result<Response<v1::InventoryGetResponse>, Status> {
        let article = articles::find(&self.0, request.into_inner().sku).await?;
        let article = Some(messages::article(article)?);
        Ok(Response::new(v1::InventoryGetResponse { article }))
    }

    async fn list(
        &self,
        request: Request<v1::InventoryListRequest>,
    ) -> Result<Response<v1::InventoryListResponse>, Status> {
        let v1::InventoryListRequest { limit, cursor } = request.into_inner();
        let query = ListQuery::<ArticlesList>::of(limit, cursor, String::new())?;
        let rows = articles::by_sku(&self.0, &query).await?;
        let position = |article: &Article| article.sku.to_string();
        let (articles, next_cursor) = query.page(rows, position, messages::article);
        let articles: Result<_, Status> = articles.into_iter().collect();
        let articles = articles?;
        Ok(Response::new(v1::InventoryListResponse {
            articles,
            next_cursor,
        }))
    }

    async fn patch(
        &self,
        request: Request<v1::InventoryPatchRequest>,
    ) -> Result<Response<v1::InventoryPatchResponse>, Status> {
        let (headers, message) = self.internal(request)?;
        let price = message.unit_price;
        let body = PatchArticleBody::new(
            message.name,
            price.map(|price| (price.amount, price.currency)),
            message.on_sale,
        );
        let conditions = Preconditions::read(&headers)?;
        let article = articles::patched(&self.0, sku(message.sku)?, conditions, body).await?;
        let article = Some(messages::article(article)?);
        Ok(Response::new(v1::InventoryPatchResponse { article }))
    }

    async fn adjust(
        &self,
        request: Request<v1::InventoryAdjustRequest>,
    ) -> Result<Response<v1::InventoryAdjustResponse>, Status> {
        let (headers, message) = self.internal(request)?;
        let body = AdjustmentBody::new(message.delta, message.reason);
        let named = (adjustments::key(&headers)?, Preconditions::read(&headers)?);
        let outcome = adjustments::adjusted(&self.0, sku(message.sku)?, named, body).await?;
        let (adjustment, replayed) = match outcome {
            AdjustOutcome::Made(adjustment) => (adjustment, false),
            AdjustOutcome::MadeBefore(adjustment) => (adjustment, true),
        };
        Ok(Response::new(v1::InventoryAdjustResponse {
            adjustment: Some(messages::adjustment(adjustment)),
            replayed,
        }))
    }
}

/// A text that cannot be a SKU is answered as a SKU that there is not.
fn sku(text: String) -> Result<Sku, Status> {
    Sku::try_from(text).map_err(|_| articles::not_found().into())
}
