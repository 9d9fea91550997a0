//! What comes next for an order, and when, derived from the same records that the order's next owner would
//! use.

use serde::Serialize;

use super::OrderEvidence;
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::HANDED_BACK;
use crate::shop::inventory::ReservationState;
use crate::shop::orders::OrderStatus;
use crate::shop::orders::records::{AttemptRecord, OrderDetails};
use crate::shop::payments::PaymentStatus;
use crate::shop::recovery::clock::rfc3339;

/// What comes next for an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// The next step as text.
    pub says: String,
    /// The time of the next step where it is known, as in `2026-11-22T16:02:36.123Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl NextStep {
    fn untimed(says: impl Into<String>) -> NextStep {
        NextStep {
            says: says.into(),
            at: None,
        }
    }
}

/// Derives the next step; it is empty when the order does not exist.
pub(super) fn of(evidence: &OrderEvidence) -> NextStep {
    let Some(order) = &evidence.order else {
        return NextStep::default();
    };
    let version = order.standing.version;
    match order.standing.status {
        OrderStatus::Pending | OrderStatus::Parked if version > ORDER_VERSION => NextStep::untimed(format!(
            "a binary that knows saga version {version} has to run it; this one knows up to {ORDER_VERSION}"
        )),
        OrderStatus::Pending => under_way(order, evidence),
        OrderStatus::Parked => NextStep::untimed(
            "nothing by itself until a cluster is started over this directory, which tries it again; \
             `sagas retry`, `sagas compensate`, `confirm` or `reject` decide about it now",
        ),
        OrderStatus::Confirmed | OrderStatus::Rejected => NextStep::untimed("nothing: it is over"),
    }
}

fn under_way(order: &OrderDetails, evidence: &OrderEvidence) -> NextStep {
    let (owner, step) = (order.standing.owner, step(order, evidence));
    if owner == HANDED_BACK {
        return NextStep::untimed(format!(
            "a worker takes it up within two seconds while a cluster runs, and goes on with {step}"
        ));
    }
    if evidence.is_owner_fenced {
        return NextStep::untimed(format!(
            "{owner} was fenced; the worker that claims from it goes on with {step}"
        ));
    }
    let of_this_claim = |attempt: &&AttemptRecord| attempt.claim_no == order.standing.claim_no;
    let attempts = order.attempts.iter().filter(of_this_claim);
    match attempts.max_by_key(|attempt| attempt.last_ms) {
        None => NextStep::untimed(format!(
            "{owner} is at {step}, or waits for room in a database to do it"
        )),
        Some(attempt) => {
            let AttemptRecord {
                step,
                attempts,
                reason,
                ..
            } = attempt;
            let [last, until] = [attempt.last_ms, attempt.until_ms].map(rfc3339);
            NextStep {
                says: format!(
                    "{owner} tries {step} again (tried {attempts} times, last at {last}: {reason}); if it is still \
                     unknown at {until}, that is settled or the order is parked"
                ),
                at: Some(rfc3339(attempt.next_ms)),
            }
        }
    }
}

/// The first step whose effect is not on disk yet.
fn step(order: &OrderDetails, evidence: &OrderEvidence) -> &'static str {
    use PaymentStatus::Succeeded;
    use ReservationState::{Committed, Held};
    let reservation = evidence.reservation.as_ref().map(|record| record.state);
    let payment = evidence.payment.as_ref().map(|record| &record.status);
    match (order.standing.is_given_up, reservation, payment) {
        (true, Some(Committed), _) => "return: what left the shelf is put back",
        (true, _, None | Some(Succeeded { .. })) => "refund: the charge is cancelled, or given back",
        (true, Some(Held), _) => "release: what is held is let go",
        (true, ..) => "reject: its last record",
        (false, None, _) => "reserve: the stock is held",
        (false, Some(Held), None) => "charge: the money is taken",
        (false, Some(Held), Some(Succeeded { .. })) => "commit: what is held leaves the shelf",
        (false, Some(Held), Some(_)) => "release: what is held is let go",
        (false, Some(Committed), _) => "confirm: its last record",
        (false, Some(_), _) => "reject: its last record",
    }
}
