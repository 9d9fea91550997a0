//! Reading orders.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::page::{self, Page, PageLimit};
use super::wire::OrderDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{CustomerId, OrderId, TimelineEntry};
use crate::shop::orders::Order;
use crate::shop::recovery::clock::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    customer_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct TimelineStep {
    at: String,
    #[serde(flatten)]
    entry: TimelineEntry,
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id(path)?;
    let order = state
        .orders
        .order(id)
        .map_err(errors::read)?
        .ok_or_else(not_found)?;
    Ok(Json(document(&order)).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| page::bad_query(&rejection))?;
    let limit = PageLimit::read(asked.limit.as_deref())?;
    let before = page::before(asked.cursor.as_deref(), "orders")?;
    let customer = asked
        .customer_id
        .map(CustomerId::try_from)
        .transpose()
        .map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_customer_id",
                format!("customer_id: {error}"),
            )
        })?;
    let orders = state
        .orders
        .orders(customer, before, limit.and_one())
        .await
        .map_err(errors::read)?;
    let shown = Page::of(
        orders,
        limit,
        "orders",
        |order| order.id.to_string(),
        |order| {
            // A document borrows from its order, which the page does not keep.
            serde_json::to_value(document(&order)).unwrap_or_default()
        },
    );
    Ok(Json(shown).into_response())
}

pub(super) async fn timeline(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let entries = state
        .orders
        .timeline(id(path)?)
        .await
        .map_err(|error| errors::story(&error))?;
    let entries = entries.ok_or_else(not_found)?;
    let step = |entry: TimelineEntry| TimelineStep {
        at: rfc3339(entry.at_ms),
        entry,
    };
    Ok(Json(Page::whole(entries.into_iter().map(step).collect())).into_response())
}

fn document(order: &Order) -> OrderDocument<'_> {
    OrderDocument::new(order.id, &order.placed, order.end().as_ref())
}

/// An id that cannot be one is not found either.
fn id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    path.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "order_not_found",
        "there is no order with this id",
    )
}
