//! The records about one order as lines of text.

use super::{OrderEvidence, ReportLine};
use crate::shop::contract::{
    ClaimsByLife, HANDED_BACK, OrderId, TimelinePosition, TimelineSource, TimelineStep,
};
use crate::shop::inventory::ReservationState;
use crate::shop::inventory::records::ReservationRecord;
use crate::shop::orders::OrderStatus;
use crate::shop::orders::TakeoverRecord;
use crate::shop::orders::records::{AttemptRecord, InterventionRecord, OrderDetails, OrderStanding};
use crate::shop::payments::PaymentStatus;
use crate::shop::payments::records::PaymentRecord;
use crate::shop::recovery::clock::{from_rfc3339, rfc3339};
use crate::shop::sandbox::reader::LedgerAttempt;

/// The lines of all databases, in the order of the timeline.
pub(super) fn all(id: OrderId, evidence: &OrderEvidence) -> Vec<ReportLine> {
    let mut lines = Lines::of(evidence.order.as_ref());
    if let Some(order) = &evidence.order {
        orders(id, order, &mut lines);
    }
    if let Some(reservation) = &evidence.reservation {
        inventory(reservation, &mut lines);
    }
    if let Some(payment) = &evidence.payment {
        payments(payment, &mut lines);
    }
    for attempt in &evidence.ledger {
        ledger(attempt, &mut lines);
    }
    lines.sorted()
}

/// The lines so far, with the position of each in the timeline.
struct Lines {
    lines: Vec<(TimelinePosition, ReportLine)>,
    claims: ClaimsByLife,
    takeovers: Vec<TakeoverRecord>,
    is_given_up: bool,
}

impl Lines {
    fn of(order: Option<&OrderDetails>) -> Lines {
        let takeovers = order.map(|order| order.takeovers.clone()).unwrap_or_default();
        Lines {
            lines: Vec::new(),
            claims: takeovers
                .iter()
                .map(|takeover| (takeover.to, takeover.claim_no))
                .collect(),
            takeovers,
            is_given_up: order.is_some_and(|order| order.standing.is_given_up),
        }
    }

    fn add(&mut self, book: &'static str, position: TimelinePosition, says: String) {
        let at = rfc3339(position.at_ms);
        self.lines.push((position, ReportLine { at, book, says }));
    }

    fn sorted(mut self) -> Vec<ReportLine> {
        self.lines.sort_by_key(|(position, _)| *position);
        self.lines.into_iter().map(|(_, line)| line).collect()
    }

    /// The claim that was in force just before that time.
    fn claim_before(&self, at_ms: u64) -> u32 {
        let earlier = self.takeovers.iter().filter(|takeover| takeover.at_ms < at_ms);
        earlier.map(|takeover| takeover.claim_no).max().unwrap_or(1)
    }
}

/// The position of a service's own record.
fn at(at_ms: u64, claim_no: u32, step: TimelineStep) -> TimelinePosition {
    TimelinePosition {
        at_ms,
        claim_no,
        step,
        source: TimelineSource::Service,
    }
}

fn orders(id: OrderId, order: &OrderDetails, lines: &mut Lines) {
    let OrderDetails {
        customer,
        items,
        amount,
        currency,
        method,
        request_id,
        standing,
        ..
    } = order;
    let placed = at(id.created_ms(), 1, TimelineStep::Place);
    let request = request_id.as_ref().map(|id| format!(", request {id}"));
    let says = format!(
        "placed by customer {customer}: {items}, {amount} {currency} with {method}, saga version {}{}",
        standing.version,
        request.unwrap_or_default()
    );
    lines.add("orders", placed, says);
    for takeover in &order.takeovers {
        let (number, from, to) = (takeover.claim_no, takeover.from, takeover.to);
        let claimed = at(takeover.at_ms, number, TimelineStep::Claim);
        lines.add("orders", claimed, format!("claim {number}: from {from} by {to}"));
    }
    for attempt in &order.attempts {
        let step = TimelineStep::from_name(&attempt.step, standing.is_given_up);
        let tried = TimelinePosition {
            source: TimelineSource::Attempt,
            ..at(attempt.last_ms, attempt.claim_no, step)
        };
        lines.add("orders", tried, unknown(attempt));
    }
    decisions(order, lines);
    lines.add("orders", state_position(id, standing), state(id, standing));
    for event in &order.events {
        let announced = TimelinePosition {
            source: TimelineSource::Event,
            ..at(event.at_ms, standing.claim_no, TimelineStep::End)
        };
        let says = format!("event {}, number {}", event.event, event.seq);
        lines.add("orders", announced, says);
    }
}

/// A decision that handed the order back came before the claim of the worker that took the order up. A
/// decision that no worker took up is the last one.
fn decisions(order: &OrderDetails, lines: &mut Lines) {
    let taken_up = order
        .takeovers
        .iter()
        .filter(|takeover| takeover.from == HANDED_BACK);
    let mut taken_up = taken_up.map(|takeover| takeover.claim_no - 1);
    for decision in &order.interventions {
        let InterventionRecord {
            at_ms,
            act,
            who,
            reason,
        } = decision;
        let claim_no = taken_up.next().unwrap_or(order.standing.claim_no);
        let decided = at(*at_ms, claim_no, TimelineStep::Decide);
        lines.add(
            "orders",
            decided,
            format!("{who} decided: {act}, because {reason}"),
        );
    }
}

/// An order that is pending since it was placed stands at its beginning, every other one where its status
/// changed.
fn state_position(id: OrderId, standing: &OrderStanding) -> TimelinePosition {
    match standing.status {
        OrderStatus::Pending if standing.changed_ms <= id.created_ms() => {
            at(standing.changed_ms, 1, TimelineStep::Place)
        }
        _ => at(standing.changed_ms, standing.claim_no, TimelineStep::End),
    }
}

fn state(id: OrderId, standing: &OrderStanding) -> String {
    let state = match standing.status {
        OrderStatus::Pending if standing.changed_ms > id.created_ms() => "pending again",
        OrderStatus::Pending => "pending since it was placed",
        OrderStatus::Parked | OrderStatus::Confirmed | OrderStatus::Rejected => standing.status.word(),
    };
    format!(
        "{state} (owner {}, claim {}){}",
        standing.owner,
        standing.claim_no,
        because(standing.reason.as_ref())
    )
}

fn unknown(attempt: &AttemptRecord) -> String {
    let AttemptRecord {
        step,
        attempts,
        worker,
        claim_no,
        reason,
        ..
    } = attempt;
    let first = rfc3339(attempt.first_ms);
    format!(
        "{step} stayed unknown {attempts} times since {first} (by {worker}, claim {claim_no}), last: {reason}"
    )
}

fn because(reason: Option<&String>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn inventory(reservation: &ReservationRecord, lines: &mut Lines) {
    let reason = because(reservation.reason.as_ref());
    let is_released = reservation.state == ReservationState::Released;
    let (reserved, step) = match reservation.state {
        ReservationState::Refused => ("refused to reserve".to_owned(), TimelineStep::Reserve),
        ReservationState::Tombstone => (
            "released before anything was reserved".to_owned(),
            TimelineStep::Release,
        ),
        ReservationState::Held | ReservationState::Committed | ReservationState::Released => {
            (format!("reserved {}", reservation.items), TimelineStep::Reserve)
        }
    };
    let by = reservation.reserved_by;
    let reserved_because = if is_released { "" } else { &reason };
    lines.add(
        "inventory",
        at(reservation.reserved_ms, lines.claims.of(by), step),
        format!("{reserved} (by {by}){reserved_because}"),
    );
    if reservation.has_ended() {
        let (ended, ended_because, step) = match is_released {
            true => ("released", reason.as_str(), TimelineStep::Release),
            false => ("committed", "", TimelineStep::Commit),
        };
        let (by, claim_no) = (reservation.changed_by, reservation.claim_no);
        lines.add(
            "inventory",
            at(reservation.changed_ms, lines.claims.of(by), step),
            format!("{ended} (by {by}, claim {claim_no}){ended_because}"),
        );
    }
}

fn payments(payment: &PaymentRecord, lines: &mut Lines) {
    let PaymentRecord {
        status,
        claim_no,
        amount,
        currency,
        at_ms,
        by,
    } = payment;
    let (decided, step) = match status {
        PaymentStatus::Succeeded { receipt } | PaymentStatus::Refunded { receipt, .. } => {
            (format!("charged, receipt {receipt}"), "charge")
        }
        PaymentStatus::Declined { code, .. } => (format!("declined: {code}"), "charge"),
        PaymentStatus::Cancelled => ("cancelled".to_owned(), "cancel"),
    };
    let step = TimelineStep::from_name(step, lines.is_given_up);
    lines.add(
        "payments",
        at(*at_ms, lines.claims.of(*by), step),
        format!("{decided}, {amount} {currency} (by {by}, claim {claim_no})"),
    );
    if let PaymentStatus::Refunded {
        refund, at_ms, by, ..
    } = status
    {
        lines.add(
            "payments",
            at(*at_ms, lines.claims.of(*by), TimelineStep::Refund),
            format!("refunded, receipt {refund} (by {by}, claim {claim_no})"),
        );
    }
}

/// The provider does not know of claims: its records of the undoing belong to the last claim, the others to
/// the claim in force.
fn ledger(attempt: &LedgerAttempt, lines: &mut Lines) {
    let LedgerAttempt {
        kind,
        provider_key,
        outcome,
        ..
    } = attempt;
    let at_ms = from_rfc3339(&attempt.at).unwrap_or_default();
    let step = TimelineStep::from_name(kind, lines.is_given_up);
    let claim_no = match step {
        TimelineStep::Refund => lines.takeovers.iter().map(|takeover| takeover.claim_no).max(),
        _ => None,
    };
    let position = TimelinePosition {
        source: TimelineSource::Provider,
        ..at(at_ms, claim_no.unwrap_or_else(|| lines.claim_before(at_ms)), step)
    };
    let code = attempt.code.as_ref().map(|code| format!(" {code}"));
    let code = code.unwrap_or_default();
    lines.add(
        "provider",
        position,
        format!("{kind} under key {provider_key}: {outcome}{code}"),
    );
}
