//! Reading orders.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::page::{List, ListQuery, Page};
use super::wire::OrderDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{CustomerId, OrderId, TimelineEntry};
use crate::shop::orders::Order;
use crate::shop::recovery::clock::rfc3339;

/// `GET /orders`
pub(super) struct OrdersList;

impl List for OrdersList {
    const NAME: &'static str = "orders";
    const FILTER: Option<&'static str> = Some("customer_id");
}

#[derive(Serialize)]
struct TimelineDocument {
    at: String,
    #[serde(flatten)]
    entry: TimelineEntry,
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let order = state.orders.order(id(path)?).await.map_err(errors::storage)?;
    let order = order.ok_or_else(not_found)?;
    Ok(Json(document(&order)).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<OrdersList>,
) -> Result<Response, Problem> {
    let before = query.before()?;
    let customer = query.filter.clone().map(CustomerId::try_from).transpose();
    let customer = customer.map_err(|error| {
        let detail = format!("customer_id: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_customer_id", detail)
    })?;
    let orders = state.orders.orders(customer, before, query.rows()).await;
    // A document borrows from its order, which the page does not keep.
    let item = |order| serde_json::to_value(document(&order)).unwrap_or_default();
    Ok(query.answer(
        orders.map_err(errors::storage)?,
        |order| order.id.to_string(),
        item,
    ))
}

pub(super) async fn timeline(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let entries = state.orders.timeline(id(path)?).await;
    let entries = entries.map_err(|error| errors::timeline(&error))?;
    let entries = entries.ok_or_else(not_found)?;
    let step = |entry: TimelineEntry| TimelineDocument {
        at: rfc3339(entry.at_ms),
        entry,
    };
    Ok(Json(Page::whole(entries.into_iter().map(step).collect())).into_response())
}

fn document(order: &Order) -> OrderDocument<'_> {
    OrderDocument::new(order.id, &order.placed, order.end().as_ref())
}

/// A text that cannot be an id is answered as an id that there is not.
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
