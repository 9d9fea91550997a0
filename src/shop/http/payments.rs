//! Reading payments.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;

use super::page::{self, Page, PageLimit};
use super::wire::PaymentDocument;
use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::{OrderId, PaymentId};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    order_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn one(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: Option<PaymentId> = path.ok().and_then(|Path(id)| id.parse().ok());
    let PaymentId(order) = id.ok_or_else(not_found)?;
    let payment = state
        .payments
        .of_order(order)
        .map_err(errors::read)?
        .ok_or_else(not_found)?;
    Ok(Json(PaymentDocument::from(payment)).into_response())
}

pub(super) async fn list(
    State(state): State<AppState>,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| page::bad_query(&rejection))?;
    let limit = PageLimit::read(asked.limit.as_deref())?;
    let before = page::before(asked.cursor.as_deref(), "payments")?;
    if let Some(order) = asked.order_id {
        return of_order(&state, &order);
    }
    let payments = state
        .payments
        .latest(before, limit.and_one())
        .await
        .map_err(errors::read)?;
    let page = Page::of(
        payments,
        limit,
        "payments",
        |payment| payment.id.0.to_string(),
        PaymentDocument::from,
    );
    Ok(Json(page).into_response())
}

/// An order has one payment or none.
fn of_order(state: &AppState, order: &str) -> Result<Response, Problem> {
    let payment = match order.parse::<OrderId>() {
        Ok(order) => state.payments.of_order(order).map_err(errors::read)?,
        Err(error) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_order_id",
                format!("order_id: {error}"),
            ));
        }
    };
    Ok(Json(Page::whole(
        payment.map(PaymentDocument::from).into_iter().collect(),
    ))
    .into_response())
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "payment_not_found",
        "there is no payment with this id",
    )
}
