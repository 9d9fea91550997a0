//! The shop's routes: wire types, status codes, problem codes. They speak to the services and must not know
//! tables or sagas.

#![expect(
    clippy::result_large_err,
    reason = "a Problem is the answer itself: it is made once per refused request and moved to the edge at once"
)]

mod articles;
mod body;
pub(super) mod drill;
mod errors;
mod object;
mod orders;
mod page;
mod payments;
mod place_order;
mod rejection;
mod wire;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::http::fallbacks;
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
    /// How long a client waits for its order to end.
    pub order_wait: Duration,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: usize,
}

/// All routes of the shop.
pub fn routes(state: AppState) -> Router {
    let limit = DefaultBodyLimit::max(state.max_body_bytes);
    let router = Router::new()
        .route("/orders", post(place_order::place).get(orders::list))
        .route("/orders/{id}", get(orders::one))
        .route("/orders/{id}/timeline", get(orders::timeline))
        .route("/inventory", get(articles::list))
        .route("/inventory/{sku}", get(articles::one).put(articles::put))
        .route("/payments", get(payments::list))
        .route("/payments/{id}", get(payments::one));
    fallbacks(router).layer(limit).with_state(state)
}
