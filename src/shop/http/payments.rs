//! Reading payments.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::page::{List, ListQuery, Page};
use super::wire::PaymentDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{OrderId, PaymentId};

/// `GET /payments`
pub(super) struct PaymentsList;

impl List for PaymentsList {
    const NAME: &'static str = "payments";
    const FILTER: Option<&'static str> = Some("order_id");
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: Option<PaymentId> = path.ok().and_then(|Path(id)| id.parse().ok());
    let PaymentId(order) = id.ok_or_else(not_found)?;
    let payment = state.payments.of_order(order).await.map_err(errors::storage)?;
    let payment = payment.ok_or_else(not_found)?;
    Ok(Json(PaymentDocument::from(payment)).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: ListQuery<PaymentsList>,
) -> Result<Response, Problem> {
    let before = query.before()?;
    if let Some(order) = &query.filter {
        return of_order(&state, order).await;
    }
    let payments = state.payments.latest(before, query.rows()).await;
    Ok(query.answer(
        payments.map_err(errors::storage)?,
        |payment| payment.id.0.to_string(),
        PaymentDocument::from,
    ))
}

/// An order has one payment or none.
async fn of_order(state: &AppState, order: &str) -> Result<Response, Problem> {
    let order = order.parse::<OrderId>().map_err(|error| {
        let detail = format!("order_id: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_order_id", detail)
    })?;
    let payment = state.payments.of_order(order).await.map_err(errors::storage)?;
    let items = payment.map(PaymentDocument::from).into_iter().collect();
    Ok(Json(Page::whole(items)).into_response())
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "payment_not_found",
        "there is no payment with this id",
    )
}
