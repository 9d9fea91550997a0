//! Articles: reading them, and what internal clients change of them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::article_bodies::{PatchArticleBody, PutArticleBody};
use super::conditions::{self, Preconditions};
use super::page::{List, ListQuery};
use super::wire::ArticleDocument;
use super::{AppState, body, errors};
use crate::http::Problem;
use crate::shop::contract::Sku;
use crate::shop::inventory::{Article, EditError, PutOutcome};

/// `GET /inventory`
pub(in crate::shop) struct ArticlesList;

impl List for ArticlesList {
    const NAME: &'static str = "inventory";
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
) -> Result<Response, Problem> {
    let sku = path.map(|Path(sku)| sku).unwrap_or_default();
    let article = find(&state, sku).await?;
    let changed_ms = article.changed_ms;
    conditions.answer(&ArticleDocument::from(article), changed_ms)
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<ArticlesList>,
) -> Result<Response, Problem> {
    query.answer(
        by_sku(&state, &query).await?,
        |article| article.sku.to_string(),
        ArticleDocument::from,
    )
}

/// The article with this SKU. A text that cannot be a SKU is answered as a SKU that there is not.
pub(in crate::shop) async fn find(state: &AppState, sku: String) -> Result<Article, Problem> {
    known(state, Sku::try_from(sku).map_err(|_| not_found())?).await
}

/// The article with this SKU, which there must be.
pub(super) async fn known(state: &AppState, sku: Sku) -> Result<Article, Problem> {
    let article = state.inventory.article(sku).await.map_err(errors::storage)?;
    article.ok_or_else(not_found)
}

/// The rows of a list of articles.
pub(in crate::shop) async fn by_sku(
    state: &AppState,
    query: &ListQuery<ArticlesList>,
) -> Result<Vec<Article>, Problem> {
    let after = query.position(|text| Sku::try_from(text).ok())?;
    let after = after.map(String::from).unwrap_or_default();
    let articles = state.inventory.articles(after, query.rows()).await;
    articles.map_err(errors::storage)
}

/// `on_hand` is what a person counted on the shelf, held pieces included: what is held for orders stays held.
pub(super) async fn put(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(Path(sku)) = path else {
        return Err(not_found());
    };
    let sku = Sku::try_from(sku).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_sku",
            format!("the path: {error}"),
        )
    })?;
    let update = body::json::<PutArticleBody>(request).await?.update(sku.clone())?;
    let put = state.inventory.put(update, conditions.of_edit()).await;
    let (outcome, article) = put.map_err(not_edited)?;
    match outcome {
        PutOutcome::Updated => conditions::answer_article(StatusCode::OK, article),
        PutOutcome::Created => {
            let mut response = conditions::answer_article(StatusCode::CREATED, article)?;
            if let Ok(location) = HeaderValue::try_from(format!("/inventory/{sku}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
    }
}

/// Name, price and sale state. A patch touches no count.
pub(super) async fn patch(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
    request: Request,
) -> Result<Response, Problem> {
    let sku = known_sku(path)?;
    let body = body::merge_patch::<PatchArticleBody>(request).await?;
    conditions::answer_article(StatusCode::OK, patched(&state, sku, conditions, body).await?)
}

/// Changes an article, and tells it as it is then.
pub(in crate::shop) async fn patched(
    state: &AppState,
    sku: Sku,
    conditions: Preconditions,
    body: PatchArticleBody,
) -> Result<Article, Problem> {
    let patched = state
        .inventory
        .patch(sku, body.patch()?, conditions.of_edit())
        .await;
    patched.map_err(not_edited)
}

/// A text that cannot be a SKU is answered as a SKU that there is not.
pub(super) fn known_sku(path: Result<Path<String>, PathRejection>) -> Result<Sku, Problem> {
    path.ok()
        .and_then(|Path(sku)| Sku::try_from(sku).ok())
        .ok_or_else(not_found)
}

/// An edit that was refused.
pub(super) fn not_edited(error: EditError) -> Problem {
    let detail = error.to_string();
    match error {
        EditError::NoArticle => not_found(),
        EditError::ConditionFailed(article) => conditions::failed_on(article.map(|article| *article)),
        EditError::CountUnguarded { .. } => Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition_required",
            format!(
                "{detail}; send the difference to POST /inventory/{{sku}}/adjustments, or If-Match with the \
                 ETag of the article as you counted it"
            ),
        ),
        EditError::BelowReserved { reserved, .. } => {
            Problem::new(StatusCode::CONFLICT, "on_hand_below_reserved", detail).with("reserved", reserved)
        }
        EditError::TooMany { .. } => Problem::new(StatusCode::CONFLICT, "on_hand_too_large", detail),
        EditError::KeyReused => errors::key_reused(),
        EditError::Storage(error) => errors::storage(error),
    }
}

/// 404: there is no article of that name.
pub(in crate::shop) fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "sku_not_found",
        "there is no article with this SKU",
    )
}
