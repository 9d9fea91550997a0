//! `POST /orders`. The answer is derived from the order's id, content and end alone, so that a replay under
//! the same Idempotency-Key gives the same bytes whichever worker answers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::conditions::{self, Preconditions};
use super::wire::{OrderDocument, OrderRequest, PlaceOrderBody};
use super::{AppState, body, errors, idempotency, rejection};
use crate::http::Problem;
use crate::observe::RequestContext;
use crate::shop::contract::{Inventory, OrderId, QuoteError, StorageError};
use crate::shop::orders::{IdempotencyKey, NewOrder, Placed, SagaOutcome};

/// An order that was placed, now or by an earlier request under the same key.
pub(in crate::shop) struct PlacedOrder {
    pub(in crate::shop) id: OrderId,
    pub(in crate::shop) content: NewOrder,
    /// How the order ended; `None` when it has not.
    pub(in crate::shop) end: Option<SagaOutcome>,
    /// It was placed by an earlier request.
    pub(in crate::shop) is_replayed: bool,
}

pub(super) async fn place(
    State(state): State<AppState>,
    context: RequestContext,
    conditions: Preconditions,
    request: Request,
) -> Result<Response, Problem> {
    let deadline = Instant::now() + state.order_wait;
    let key_text = idempotency::key_text(request.headers())?;
    let body: PlaceOrderBody = body::json(request).await?;
    let placed = place_body(&state, context, &conditions, (key_text, body), deadline).await?;
    Ok(match placed.is_replayed {
        true => idempotency::replayed(answer(&placed)),
        false => answer(&placed),
    })
}

/// As [`place`], for a client that does not speak HTTP: the key and conditions are in the headers.
pub(in crate::shop) async fn place_called(
    state: &AppState,
    context: RequestContext,
    headers: &HeaderMap,
    body: PlaceOrderBody,
) -> Result<PlacedOrder, Problem> {
    let deadline = Instant::now() + state.order_wait;
    let conditions = Preconditions::read(headers)?;
    let key_text = idempotency::key_text(headers)?;
    place_body(state, context, &conditions, (key_text, body), deadline).await
}

async fn place_body(
    state: &AppState,
    context: RequestContext,
    conditions: &Preconditions,
    (key_text, body): (Option<HeaderValue>, PlaceOrderBody),
    deadline: Instant,
) -> Result<PlacedOrder, Problem> {
    let key = key_text.map(|text| key(&text, &body)).transpose()?;
    let requested = body.validated()?;
    // A request that would be refused without its conditions is refused for that (RFC 9110, 13.2.1).
    conditions::refuse_all(conditions)?;
    if let Some(key) = key.clone()
        && let Some(order) = state.orders.placed_before(key).await.map_err(errors::place)?
    {
        return replay(state, order).await;
    }
    let new = price(state, requested).await?.placed_by(context);
    let placed = state.orders.place(new.clone(), key).await;
    match placed.map_err(errors::place)? {
        Placed::New(id, saga) => Ok(PlacedOrder {
            id,
            end: state.orders.wait(id, saga, deadline).await,
            content: new,
            is_replayed: false,
        }),
        Placed::Before(order) => replay(state, order).await,
    }
}

fn key(text: &HeaderValue, body: &PlaceOrderBody) -> Result<IdempotencyKey, Problem> {
    IdempotencyKey::new(text.as_bytes(), body.hash())
        .map_err(|error| idempotency::bad_key(&error.to_string()))
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
        QuoteError::NotOnSale(ref sku) => {
            let problem = Problem::new(StatusCode::CONFLICT, "not_on_sale", error.to_string());
            problem.with("sku", sku.as_str())
        }
        QuoteError::Unavailable(error @ StorageError::Unavailable(_)) => errors::storage(error),
        QuoteError::Unavailable(error) => errors::unavailable(&error.to_string()),
    }
}

/// The answer, which depends on nothing but the order.
fn answer(placed: &PlacedOrder) -> Response {
    let PlacedOrder { id, content, end, .. } = placed;
    let status = match end {
        Some(SagaOutcome::Rejected(why)) => {
            return rejection::problem(*id, content.request.as_ref(), why).into_response();
        }
        Some(SagaOutcome::Confirmed) => StatusCode::CREATED,
        Some(SagaOutcome::Parked | SagaOutcome::Lost) | None => StatusCode::ACCEPTED,
    };
    let document = OrderDocument::new(*id, content, end.as_ref());
    let mut response = (status, Json(document)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/orders/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The order that was placed by an earlier request under the same key.
async fn replay(state: &AppState, order: OrderId) -> Result<PlacedOrder, Problem> {
    let known = state.orders.order(order).await.map_err(errors::storage)?;
    let known =
        known.ok_or_else(|| errors::internal("an idempotency key stands for an order that is not there"))?;
    let end = known.end();
    if end.is_none() && is_waited_for(order, state) {
        let detail =
            "the first request under this Idempotency-Key is still being answered; ask again in a moment";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail).retry_after(1));
    }
    Ok(PlacedOrder {
        id: order,
        content: known.placed,
        end,
        is_replayed: true,
    })
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
