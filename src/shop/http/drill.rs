//! The shop's own drill, which exists only when `drill.routes` is on: it claims the sagas of a life that may
//! well be alive, as another worker does when it hears of a death.

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::post;
use serde::Deserialize;

use super::Orders;
use crate::base::ids::Life;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimQuery {
    life: Life,
}

/// `POST /drill-claim?life=7/0/3` answers how many sagas were claimed.
pub(in crate::shop) fn routes(orders: Orders) -> Router {
    Router::new()
        .route("/drill-claim", post(claim))
        .with_state(orders)
}

async fn claim(State(orders): State<Orders>, Query(query): Query<ClaimQuery>) -> String {
    tracing::warn!(life = %query.life, "drill: claiming the orders of a life that may be alive");
    format!("{}\n", orders.take_over_life(query.life).await)
}
