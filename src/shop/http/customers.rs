//! What a customer ordered and spent.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::conditions::Preconditions;
use super::{AppState, errors};
use crate::base::money::Money;
use crate::http::Problem;
use crate::shop::contract::CustomerId;
use crate::shop::customers::{CustomerSummary, SpentTotal};
use crate::shop::recovery::clock::rfc3339;

/// A summary as it is answered.
#[derive(Serialize)]
struct SummaryDocument {
    customer_id: CustomerId,
    orders: u64,
    spent: Vec<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opening_balance: Option<OpeningDocument>,
    as_of: String,
}

/// The part of a summary whose orders are no longer kept.
#[derive(Serialize)]
struct OpeningDocument {
    orders: u64,
    spent: Vec<Money>,
    before: String,
}

pub(super) async fn summary(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    conditions: Preconditions,
) -> Result<Response, Problem> {
    // A text that cannot be an id is answered as a customer that there is not.
    let customer = path.ok().and_then(|Path(id)| CustomerId::try_from(id).ok());
    let customer = customer.ok_or_else(not_found)?;
    let summary = state.customers.summary(customer.clone()).await;
    let summary = summary.map_err(errors::storage)?.ok_or_else(not_found)?;
    conditions.answer(&document(customer, &summary), None)
}

fn document(customer_id: CustomerId, summary: &CustomerSummary) -> SummaryDocument {
    let totals = &summary.totals;
    SummaryDocument {
        customer_id,
        orders: totals.iter().map(|total| total.orders).sum(),
        spent: totals.iter().map(|total| total.spent).collect(),
        opening_balance: opening(totals),
        as_of: rfc3339(summary.as_of_ms),
    }
}

fn opening(totals: &[SpentTotal]) -> Option<OpeningDocument> {
    let opening = || {
        totals
            .iter()
            .filter_map(|total| Some((total.spent.currency, total.opening?)))
    };
    let before_ms = opening().map(|(_, balance)| balance.before_ms).max()?;
    Some(OpeningDocument {
        orders: opening().map(|(_, balance)| balance.orders).sum(),
        spent: opening()
            .map(|(currency, balance)| Money {
                amount: balance.amount,
                currency,
            })
            .collect(),
        before: rfc3339(before_ms),
    })
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "customer_not_found",
        "no order of this customer was ever confirmed",
    )
}
