//! Reading payments.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use super::conditions::Preconditions;
use super::page::{List, ListQuery};
use super::wire::PaymentDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{OrderId, PaymentId};
use crate::shop::payments::Payment;

/// `GET /payments`
pub(in crate::shop) struct PaymentsList;

impl List for PaymentsList {
    const NAME: &'static str = "payments";
    const FILTER: Option<&'static str> = Some("order_id");
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
) -> Result<Response, Problem> {
    let id = path.map(|Path(id)| id).unwrap_or_default();
    let payment = find(&state, &id).await?;
    let changed_ms = payment.at_ms;
    conditions.answer(&PaymentDocument::from(payment), Some(changed_ms))
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<PaymentsList>,
) -> Result<Response, Problem> {
    query.answer(
        latest(&state, &query).await?,
        |payment| payment.id.0.to_string(),
        PaymentDocument::from,
    )
}

/// The payment with this id. A text that cannot be an id is answered as an id that there is not.
pub(in crate::shop) async fn find(state: &AppState, id: &str) -> Result<Payment, Problem> {
    let PaymentId(order) = id.parse().map_err(|_| not_found())?;
    let payment = state.payments.of_order(order).await.map_err(errors::storage)?;
    payment.ok_or_else(not_found)
}

/// The rows of a list of payments. An order has one payment or none.
pub(in crate::shop) async fn latest(
    state: &AppState,
    query: &ListQuery<PaymentsList>,
) -> Result<Vec<Payment>, Problem> {
    let before = query.before()?;
    let Some(order) = &query.filter else {
        let payments = state.payments.latest(before, query.rows()).await;
        return payments.map_err(errors::storage);
    };
    let order = order.parse::<OrderId>().map_err(|error| {
        let detail = format!("order_id: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_order_id", detail)
    })?;
    let payment = state.payments.of_order(order).await.map_err(errors::storage)?;
    Ok(payment.into_iter().collect())
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "payment_not_found",
        "there is no payment with this id",
    )
}
