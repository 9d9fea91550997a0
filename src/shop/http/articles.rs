//! Articles: reading them, and setting what a person counted.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::page::{List, ListQuery};
use super::wire::{ArticleDocument, PutArticleBody};
use super::{AppState, body, errors};
use crate::http::Problem;
use crate::shop::contract::Sku;
use crate::shop::inventory::{PutArticleError, PutOutcome};

/// `GET /inventory`
pub(super) struct ArticlesList;

impl List for ArticlesList {
    const NAME: &'static str = "inventory";
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let sku = path
        .ok()
        .and_then(|Path(sku)| Sku::try_from(sku).ok())
        .ok_or_else(not_found)?;
    Ok(Json(read(&state, sku).await?).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<ArticlesList>,
) -> Result<Response, Problem> {
    let after = query.position(|text| Sku::try_from(text).ok())?;
    let after = after.map(String::from).unwrap_or_default();
    let articles = state.inventory.articles(after, query.rows()).await;
    Ok(query.answer(
        articles.map_err(errors::storage)?,
        |article| article.sku.to_string(),
        ArticleDocument::from,
    ))
}

/// `on_hand` is what a person counted on the shelf, held pieces included: what is held for orders stays held.
pub(super) async fn put(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
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
    let outcome = state.inventory.put(update).await.map_err(not_put)?;
    let article = Json(read(&state, sku.clone()).await?);
    Ok(match outcome {
        PutOutcome::Updated => article.into_response(),
        PutOutcome::Created => {
            let mut response = (StatusCode::CREATED, article).into_response();
            if let Ok(location) = HeaderValue::try_from(format!("/inventory/{sku}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
    })
}

fn not_put(error: PutArticleError) -> Problem {
    match error {
        PutArticleError::BelowReserved { reserved, .. } => {
            let problem = Problem::new(StatusCode::CONFLICT, "on_hand_below_reserved", error.to_string());
            problem.with("reserved", reserved)
        }
        PutArticleError::Storage(error) => errors::storage(error),
    }
}

async fn read(state: &AppState, sku: Sku) -> Result<ArticleDocument, Problem> {
    let article = state.inventory.article(sku).await.map_err(errors::storage)?;
    article.map(ArticleDocument::from).ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "sku_not_found",
        "there is no article with this SKU",
    )
}
