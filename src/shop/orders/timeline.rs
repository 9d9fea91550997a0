//! The timeline of an order: what the three services did for it. Pure.

use super::domain::{Order, OrderStatus, Rejection};
use super::repository::OrderHistory;
use crate::base::ids::Life;
use crate::shop::contract::{ServiceName, TimelineEntry};

/// The entries of the three services, in order of time. Entries of one time stand in the order of the saga.
pub(super) fn merge(
    history: &OrderHistory,
    inventory: Vec<TimelineEntry>,
    payments: Vec<TimelineEntry>,
) -> Vec<TimelineEntry> {
    let mut own = entries(history).into_iter();
    let mut inventory = inventory.into_iter();
    let mut all: Vec<TimelineEntry> = own.next().into_iter().collect();
    all.extend(inventory.next());
    all.extend(payments);
    all.extend(inventory);
    all.extend(own);
    all.sort_by_key(|entry| entry.at_ms);
    all
}

/// What orders itself did for the order: placed, claimed, ended.
fn entries(history: &OrderHistory) -> Vec<TimelineEntry> {
    let OrderHistory { order, takeovers } = history;
    let first_owner = takeovers.first().map_or(order.owner, |takeover| takeover.from);
    let mut entries = vec![entry(order.id.created_ms(), "place", "done", first_owner, None)];
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
    }
}

fn json(rejection: &Rejection) -> Option<String> {
    serde_json::to_string(rejection).ok()
}
