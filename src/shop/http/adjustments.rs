//! Adjustments of counts: pieces that came or went without an order.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::article_bodies::AdjustmentBody;
use super::articles::{known, known_sku, not_edited};
use super::conditions::Preconditions;
use super::page::{List, ListQuery};
use super::{AppState, body, errors, idempotency};
use crate::http::Problem;
use crate::shop::contract::Sku;
use crate::shop::inventory::{AdjustOutcome, Adjustment};
use crate::shop::orders::IdempotencyKey;
use crate::shop::recovery::clock::rfc3339;

/// What the id of an adjustment begins with.
const PREFIX: &str = "adj_";

/// `GET /inventory/{sku}/adjustments`
pub(super) struct AdjustmentsList;

impl List for AdjustmentsList {
    const NAME: &'static str = "adjustments";
}

/// An adjustment as it is answered.
#[derive(Serialize)]
struct AdjustmentDocument {
    id: String,
    sku: Sku,
    delta: i64,
    reason: String,
    /// How many pieces were on the shelf right after it.
    on_hand: u64,
    at: String,
}

impl From<Adjustment> for AdjustmentDocument {
    fn from(adjustment: Adjustment) -> AdjustmentDocument {
        AdjustmentDocument {
            id: id(&adjustment),
            sku: adjustment.sku,
            delta: adjustment.delta,
            reason: adjustment.reason,
            on_hand: adjustment.on_hand,
            at: rfc3339(adjustment.at_ms),
        }
    }
}

/// The answer is made from the row alone, so that a replay gives the same bytes.
pub(super) async fn adjust(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
    request: Request,
) -> Result<Response, Problem> {
    let sku = known_sku(path)?;
    let key = key(request.headers())?;
    let body: AdjustmentBody = body::json(request).await?;
    let answer =
        |adjustment| (StatusCode::CREATED, Json(AdjustmentDocument::from(adjustment))).into_response();
    Ok(match adjusted(&state, sku, (key, conditions), body).await? {
        AdjustOutcome::Made(adjustment) => answer(adjustment),
        AdjustOutcome::MadeBefore(adjustment) => idempotency::replayed(answer(adjustment)),
    })
}

/// The key of an adjustment, which must have one.
pub(in crate::shop) fn key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let key = idempotency::key_text(headers)?.ok_or_else(no_key)?;
    let key = IdempotencyKey::new(key.as_bytes(), [0; 32]);
    key.map_err(|error| idempotency::bad_key(&error.to_string()))
}

/// Makes an adjustment, unless it was made before under the same key.
pub(in crate::shop) async fn adjusted(
    state: &AppState,
    sku: Sku,
    (key, conditions): (IdempotencyKey, Preconditions),
    body: AdjustmentBody,
) -> Result<AdjustOutcome, Problem> {
    let adjustment = body.request(sku, key.text().to_owned())?;
    let outcome = state.inventory.adjust(adjustment, conditions.of_edit()).await;
    outcome.map_err(not_edited)
}

/// The id of an adjustment, as it is answered.
pub(in crate::shop) fn id(adjustment: &Adjustment) -> String {
    format!("{PREFIX}{}", adjustment.number)
}

pub(super) async fn list(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    query: ListQuery<AdjustmentsList>,
) -> Result<Response, Problem> {
    let sku = known_sku(path)?;
    let before = query.position(|text| text.parse().ok())?.unwrap_or(i64::MAX);
    known(&state, sku.clone()).await?;
    let adjustments = state.inventory.adjustments(sku, before, query.rows()).await;
    query.answer(
        adjustments.map_err(errors::storage)?,
        |adjustment| adjustment.number.to_string(),
        AdjustmentDocument::from,
    )
}

fn no_key() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "idempotency_key_required",
        "an adjustment that is sent twice would count twice; expected the header Idempotency-Key with a name \
         of your own for this one adjustment",
    )
}
