//! Articles: reading them, and setting what a person counted.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::page::{self, Page, PageLimit};
use super::wire::{ArticleDocument, PutArticleBody};
use super::{AppState, body, errors};
use crate::http::Problem;
use crate::shop::contract::Sku;
use crate::shop::inventory::{PutArticleError, PutOutcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let sku = path
        .ok()
        .and_then(|Path(sku)| Sku::try_from(sku).ok())
        .ok_or_else(not_found)?;
    read(&state, &sku).map(|article| Json(article).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| page::bad_query(&rejection))?;
    let limit = PageLimit::read(asked.limit.as_deref())?;
    let after = page::cursor(asked.cursor.as_deref(), "inventory", |text| {
        Sku::try_from(text).ok()
    })?;
    let after = after.map(String::from).unwrap_or_default();
    let articles = state
        .inventory
        .articles(after, limit.and_one())
        .await
        .map_err(errors::read)?;
    let page = Page::of(
        articles,
        limit,
        "inventory",
        |article| article.sku.to_string(),
        ArticleDocument::from,
    );
    Ok(Json(page).into_response())
}

/// `on_hand` is what a person counted on the shelf, held ones among them: what is held for orders stays held.
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
    let stocking = body::json::<PutArticleBody>(request)
        .await?
        .stocking(sku.clone())?;
    let put = state
        .inventory
        .put(stocking)
        .await
        .map_err(|error| errors::write(error, refused))?;
    let article = Json(read(&state, &sku)?);
    Ok(match put {
        PutOutcome::Set => article.into_response(),
        PutOutcome::Created => {
            let mut response = (StatusCode::CREATED, article).into_response();
            if let Ok(location) = HeaderValue::try_from(format!("/inventory/{sku}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
    })
}

fn refused(error: PutArticleError) -> Problem {
    match error {
        PutArticleError::BelowReserved { reserved, .. } => {
            let problem = Problem::new(StatusCode::CONFLICT, "on_hand_below_reserved", error.to_string());
            problem.with("reserved", reserved)
        }
        PutArticleError::Sqlite(error) => errors::internal(&error.to_string()),
    }
}

fn read(state: &AppState, sku: &Sku) -> Result<ArticleDocument, Problem> {
    let article = state.inventory.article(sku).map_err(errors::read)?;
    article.map(ArticleDocument::from).ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "sku_not_found",
        "there is no article with this SKU",
    )
}
