//! The timeline of an order: what the three services did for it. Pure.

use super::domain::{Order, OrderStatus, Rejection};
use super::repository::OrderHistory;
use crate::base::ids::Life;
use crate::shop::contract::{
    ClaimsByLife, ServiceName, TimelineEntry, TimelinePosition, TimelineSource, TimelineStep,
};

/// The entries of the three services, in the order of their positions.
pub(super) fn merge(
    history: &OrderHistory,
    inventory: Vec<TimelineEntry>,
    payments: Vec<TimelineEntry>,
) -> Vec<TimelineEntry> {
    let mut all = entries(history);
    all.extend(inventory);
    all.extend(payments);
    let takeovers = history.takeovers.iter();
    let claims: ClaimsByLife = takeovers
        .map(|takeover| (takeover.to, takeover.claim_no))
        .collect();
    all.sort_by_key(|entry| position(entry, &history.order, &claims));
    all
}

fn position(entry: &TimelineEntry, order: &Order, claims: &ClaimsByLife) -> TimelinePosition {
    let step = TimelineStep::from_name(entry.step, order.given_up.is_some());
    TimelinePosition {
        at_ms: entry.at_ms,
        claim_no: match step {
            TimelineStep::Place => 1,
            TimelineStep::End => order.claim_no,
            _ => claims.of(entry.worker),
        },
        step,
        source: TimelineSource::Service,
    }
}

/// What orders itself did for the order: placed, claimed, ended.
fn entries(history: &OrderHistory) -> Vec<TimelineEntry> {
    let OrderHistory { order, takeovers } = history;
    let first_owner = takeovers.first().map_or(order.owner, |takeover| takeover.from);
    let mut placed = entry(order.id.created_ms(), "place", "done", first_owner, None);
    placed.request_id = order
        .placed
        .request
        .as_ref()
        .map(|request| request.id().to_owned());
    let mut entries = vec![placed];
    for takeover in takeovers {
        let detail = format!("claim {}, from {}", takeover.claim_no, takeover.from);
        entries.push(entry(takeover.at_ms, "claim", "done", takeover.to, Some(detail)));
    }
    entries.extend(last_entry(order));
    entries
}

fn last_entry(order: &Order) -> Option<TimelineEntry> {
    let (step, outcome, detail) = match order.status {
        OrderStatus::Pending => return None,
        OrderStatus::Parked => ("park", "parked", order.parked.clone()),
        OrderStatus::Confirmed => ("confirm", "done", None),
        OrderStatus::Rejected => ("reject", "done", order.rejection.as_ref().and_then(json)),
    };
    Some(entry(order.changed_ms, step, outcome, order.owner, detail))
}

fn entry(
    at_ms: u64,
    step: &'static str,
    outcome: &'static str,
    worker: Life,
    detail: Option<String>,
) -> TimelineEntry {
    TimelineEntry {
        at_ms,
        service: ServiceName::Orders,
        step,
        outcome,
        worker,
        detail,
        request_id: None,
    }
}

fn json(rejection: &Rejection) -> Option<String> {
    serde_json::to_string(rejection).ok()
}
