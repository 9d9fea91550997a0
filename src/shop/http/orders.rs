//! Reading orders.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::conditions::Preconditions;
use super::page::{List, ListQuery, Page};
use super::wire::OrderDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{CustomerId, TimelineEntry};
use crate::shop::orders::Order;
use crate::shop::recovery::clock::rfc3339;

/// `GET /orders`
pub(in crate::shop) struct OrdersList;

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
    conditions: Preconditions,
) -> Result<Response, Problem> {
    let order = find(&state, &id(path)).await?;
    conditions.answer(&document(&order), Some(order.changed_ms))
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<OrdersList>,
) -> Result<Response, Problem> {
    // A document borrows from its order, which the page does not keep.
    let item = |order| serde_json::to_value(document(&order)).unwrap_or_default();
    query.answer(latest(&state, &query).await?, |order| order.id.to_string(), item)
}

pub(super) async fn timeline(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
) -> Result<Response, Problem> {
    let step = |entry: TimelineEntry| TimelineDocument {
        at: rfc3339(entry.at_ms),
        entry,
    };
    let entries = entries(&state, &id(path)).await?;
    let page = Page::whole(entries.into_iter().map(step).collect());
    conditions.answer(&page, None)
}

/// The order with this id. A text that cannot be an id is answered as an id that there is not.
pub(in crate::shop) async fn find(state: &AppState, id: &str) -> Result<Order, Problem> {
    let id = id.parse().map_err(|_| not_found())?;
    let order = state.orders.order(id).await.map_err(errors::storage)?;
    order.ok_or_else(not_found)
}

/// The rows of a list of orders.
pub(in crate::shop) async fn latest(
    state: &AppState,
    query: &ListQuery<OrdersList>,
) -> Result<Vec<Order>, Problem> {
    let before = query.before()?;
    let customer = query.filter.clone().map(CustomerId::try_from).transpose();
    let customer = customer.map_err(|error| {
        let detail = format!("customer_id: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_customer_id", detail)
    })?;
    let orders = state.orders.orders(customer, before, query.rows()).await;
    orders.map_err(errors::storage)
}

/// What was done for the order with this id.
pub(in crate::shop) async fn entries(state: &AppState, id: &str) -> Result<Vec<TimelineEntry>, Problem> {
    let id = id.parse().map_err(|_| not_found())?;
    let entries = state.orders.timeline(id).await;
    let entries = entries.map_err(|error| errors::timeline(&error))?;
    entries.ok_or_else(not_found)
}

fn document(order: &Order) -> OrderDocument<'_> {
    OrderDocument::new(order.id, &order.placed, order.end().as_ref())
}

/// The id in a path; a path that is no text has none.
fn id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "order_not_found",
        "there is no order with this id",
    )
}
