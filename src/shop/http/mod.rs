//! The shop's routes: wire types, status codes, problem codes. They speak to the services and must not know
//! tables or sagas.

#![expect(
    clippy::result_large_err,
    reason = "a Problem is the answer itself: it is made once per refused request and moved to the edge at once"
)]

pub(super) mod adjustments;
pub(super) mod article_bodies;
pub(super) mod articles;
mod body;
pub(super) mod conditions;
mod customers;
pub(super) mod drill;
mod errors;
mod event_stream;
mod events;
pub(super) mod events_query;
mod idempotency;
mod object;
pub(super) mod openapi;
pub(super) mod orders;
pub(super) mod page;
pub(super) mod payments;
pub(super) mod place_order;
pub(super) mod rejection;
pub(super) mod wire;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

use crate::http::{InternalGuard, fallbacks};
use crate::shop::customers::CustomersService;
use crate::shop::events::EventFeed;
use crate::shop::inventory::InventoryService;
use crate::shop::orders::OrdersService;
use crate::shop::payments::PaymentsService;

/// The orders service over the shop's inventory and payments.
pub type Orders = OrdersService<InventoryService, PaymentsService>;

/// What the routes share.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The orders service.
    pub orders: Orders,
    /// The inventory service.
    pub inventory: InventoryService,
    /// The payments service.
    pub payments: PaymentsService,
    /// Says which requests are internal.
    pub internal: InternalGuard,
    /// The summaries of customers.
    pub customers: CustomersService,
    /// The events of all services.
    pub events: EventFeed,
    /// How long a request may wait for events.
    pub longest_wait: Duration,
    /// How long a client waits for its order to end.
    pub order_wait: Duration,
    /// Whether the page that shows the description of the API is served.
    pub docs: bool,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: usize,
}

/// All routes of the shop.
pub fn routes(state: AppState) -> Router {
    let limit = DefaultBodyLimit::max(state.max_body_bytes);
    let page = state.docs.then(openapi::page).unwrap_or_default();
    let router = public().merge(page).merge(state.internal.protect(internal()));
    fallbacks(router).layer(limit).with_state(state)
}

/// What every client may ask.
fn public() -> Router<AppState> {
    Router::new()
        .route("/orders", post(place_order::place).get(orders::list))
        .route("/orders/{id}", get(orders::one))
        .route("/orders/{id}/timeline", get(orders::timeline))
        .route("/inventory", get(articles::list))
        .route("/inventory/{sku}", get(articles::one))
        .route("/payments", get(payments::list))
        .route("/payments/{id}", get(payments::one))
        .route("/openapi.json", get(openapi::document))
}

/// What internal clients may ask: the operator's own programs.
fn internal() -> Router<AppState> {
    Router::new()
        .route("/inventory/{sku}", put(articles::put).patch(articles::patch))
        .route(
            "/inventory/{sku}/adjustments",
            post(adjustments::adjust).get(adjustments::list),
        )
        .route("/events", get(events::read))
        .route("/customers/{id}/summary", get(customers::summary))
}
