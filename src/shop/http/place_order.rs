//! `POST /orders`. The answer is derived from the order's id, content and end alone, so that a replay under
//! the same Idempotency-Key gives the same bytes whichever worker answers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::wire::{OrderDocument, OrderRequest, PlaceOrderBody};
use super::{AppState, body, errors, rejection};
use crate::http::Problem;
use crate::shop::contract::{Inventory, OrderId, QuoteError};
use crate::shop::orders::{IdempotencyKey, NewOrder, Placed, SagaOutcome};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(super) async fn place(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let deadline = Instant::now() + state.order_wait;
    let key_text = key_text(request.headers())?;
    let body: PlaceOrderBody = body::json(request).await?;
    let key = key_text.map(|text| key(&text, &body)).transpose()?;
    let requested = body.validated()?;
    if let Some(key) = key.clone()
        && let Some(order) = state.orders.placed_before(key).await.map_err(errors::place)?
    {
        return replay(&state, order).await;
    }
    let new = price(&state, requested).await?;
    let placed = state.orders.place(new.clone(), key).await;
    match placed.map_err(errors::place)? {
        Placed::New(order, saga) => {
            let end = state.orders.wait(order, saga, deadline).await;
            Ok(answer(order, &new, end.as_ref()))
        }
        Placed::Before(order) => replay(&state, order).await,
    }
}

fn key_text(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first.cloned()),
        (_, Some(_)) => Err(bad_key("there is more than one Idempotency-Key")),
    }
}

fn key(text: &HeaderValue, body: &PlaceOrderBody) -> Result<IdempotencyKey, Problem> {
    IdempotencyKey::new(text.as_bytes(), body.hash()).map_err(|error| bad_key(&error.to_string()))
}

fn bad_key(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail)
}

async fn price(state: &AppState, requested: OrderRequest) -> Result<NewOrder, Problem> {
    let lines = state.inventory.quote(requested.items).await.map_err(no_quote)?;
    NewOrder::new(requested.customer, lines, requested.method).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_total",
            error.to_string(),
        )
    })
}

fn no_quote(error: QuoteError) -> Problem {
    match error {
        QuoteError::UnknownSku(ref sku) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_sku", error.to_string());
            problem.with("sku", sku.as_str())
        }
        QuoteError::Unavailable(reason) => errors::unavailable(&reason),
    }
}

/// The answer to a new order.
fn answer(order: OrderId, placed: &NewOrder, end: Option<&SagaOutcome>) -> Response {
    let status = match end {
        Some(SagaOutcome::Rejected(why)) => return rejection::problem(order, why).into_response(),
        Some(SagaOutcome::Confirmed) => StatusCode::CREATED,
        Some(SagaOutcome::Parked | SagaOutcome::Lost) | None => StatusCode::ACCEPTED,
    };
    let mut response = (status, Json(OrderDocument::new(order, placed, end))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/orders/{order}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The answer to a request that was made before under the same key.
async fn replay(state: &AppState, order: OrderId) -> Result<Response, Problem> {
    let known = state.orders.order(order).await.map_err(errors::storage)?;
    let known =
        known.ok_or_else(|| errors::internal("an idempotency key stands for an order that is not there"))?;
    let end = known.end();
    if end.is_none() && is_waited_for(order, state) {
        let detail =
            "the first request under this Idempotency-Key is still being answered; ask again in a moment";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail).retry_after(1));
    }
    let mut response = answer(order, &known.placed, end.as_ref());
    response
        .headers_mut()
        .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Whether the first request may still be waiting, by the age of its order. An order from the future was
/// dated by a clock that stepped.
fn is_waited_for(order: OrderId, state: &AppState) -> bool {
    let age = state
        .orders
        .now_ms()
        .checked_sub(order.created_ms())
        .map(Duration::from_millis);
    age.is_some_and(|age| age < state.order_wait)
}
