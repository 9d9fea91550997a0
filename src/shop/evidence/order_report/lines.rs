//! The records about one order as lines of text.

use super::{OrderEvidence, ReportLine};
use crate::shop::contract::OrderId;
use crate::shop::inventory::ReservationState;
use crate::shop::inventory::records::ReservationRecord;
use crate::shop::orders::OrderStatus;
use crate::shop::orders::records::{AttemptRecord, OrderDetails, OrderStanding};
use crate::shop::payments::PaymentStatus;
use crate::shop::payments::records::PaymentRecord;
use crate::shop::recovery::clock::rfc3339;
use crate::shop::sandbox::reader::LedgerAttempt;

/// The lines of all databases, ordered by time.
pub(super) fn all(id: OrderId, evidence: &OrderEvidence) -> Vec<ReportLine> {
    let mut lines = Vec::new();
    if let Some(order) = &evidence.order {
        orders(id, order, &mut lines);
    }
    if let Some(reservation) = &evidence.reservation {
        inventory(reservation, &mut lines);
    }
    if let Some(payment) = &evidence.payment {
        payments(payment, &mut lines);
    }
    lines.extend(evidence.ledger.iter().map(ledger));
    lines.sort_by(|one, other| one.at.cmp(&other.at));
    lines
}

fn line(book: &'static str, at_ms: u64, says: String) -> ReportLine {
    ReportLine {
        at: rfc3339(at_ms),
        book,
        says,
    }
}

fn orders(id: OrderId, order: &OrderDetails, lines: &mut Vec<ReportLine>) {
    let mut add = |at_ms, says| lines.push(line("orders", at_ms, says));
    let OrderDetails {
        customer,
        items,
        amount,
        currency,
        method,
        standing,
        ..
    } = order;
    add(
        id.created_ms(),
        format!(
            "placed by customer {customer}: {items}, {amount} {currency} with {method}, saga version {}",
            standing.version
        ),
    );
    for takeover in &order.takeovers {
        let (number, from, to) = (takeover.claim_no, takeover.from, takeover.to);
        add(takeover.at_ms, format!("claim {number}: from {from} by {to}"));
    }
    add(standing.changed_ms, state(id, standing));
    for attempt in &order.attempts {
        add(attempt.last_ms, unknown(attempt));
    }
    for decision in &order.interventions {
        let (who, act, reason) = (&decision.who, &decision.act, &decision.reason);
        add(decision.at_ms, format!("{who} decided: {act}, because {reason}"));
    }
    for event in &order.events {
        add(
            event.at_ms,
            format!("event {}, number {}", event.event, event.seq),
        );
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

fn inventory(reservation: &ReservationRecord, lines: &mut Vec<ReportLine>) {
    let mut add = |at_ms, says| lines.push(line("inventory", at_ms, says));
    let reason = because(reservation.reason.as_ref());
    let is_released = reservation.state == ReservationState::Released;
    let reserved = match reservation.state {
        ReservationState::Refused => "refused to reserve".to_owned(),
        ReservationState::Tombstone => "released before anything was reserved".to_owned(),
        ReservationState::Held | ReservationState::Committed | ReservationState::Released => {
            format!("reserved {}", reservation.items)
        }
    };
    let (by, reserved_because) = (reservation.reserved_by, if is_released { "" } else { &reason });
    add(
        reservation.reserved_ms,
        format!("{reserved} (by {by}){reserved_because}"),
    );
    if reservation.has_ended() {
        let (ended, ended_because) = match is_released {
            true => ("released", reason.as_str()),
            false => ("committed", ""),
        };
        let (by, claim_no) = (reservation.changed_by, reservation.claim_no);
        add(
            reservation.changed_ms,
            format!("{ended} (by {by}, claim {claim_no}){ended_because}"),
        );
    }
}

fn payments(payment: &PaymentRecord, lines: &mut Vec<ReportLine>) {
    let mut add = |at_ms, says| lines.push(line("payments", at_ms, says));
    let PaymentRecord {
        status,
        claim_no,
        amount,
        currency,
        at_ms,
        by,
    } = payment;
    let decided = match status {
        PaymentStatus::Succeeded { receipt } | PaymentStatus::Refunded { receipt, .. } => {
            format!("charged, receipt {receipt}")
        }
        PaymentStatus::Declined { code, .. } => format!("declined: {code}"),
        PaymentStatus::Cancelled => "cancelled".to_owned(),
    };
    add(
        *at_ms,
        format!("{decided}, {amount} {currency} (by {by}, claim {claim_no})"),
    );
    if let PaymentStatus::Refunded {
        refund, at_ms, by, ..
    } = status
    {
        add(
            *at_ms,
            format!("refunded, receipt {refund} (by {by}, claim {claim_no})"),
        );
    }
}

fn ledger(attempt: &LedgerAttempt) -> ReportLine {
    let LedgerAttempt {
        kind,
        provider_key,
        outcome,
        ..
    } = attempt;
    let code = attempt.code.as_ref().map(|code| format!(" {code}"));
    ReportLine {
        at: to_millis(&attempt.at),
        book: "provider",
        says: format!(
            "{kind} under key {provider_key}: {outcome}{}",
            code.unwrap_or_default()
        ),
    }
}

/// A time of the provider, cut or padded to milliseconds as all times here.
fn to_millis(at: &str) -> String {
    let at = at.trim_end_matches('Z');
    let point = if at.contains('.') { "" } else { "." };
    let digits: String = format!("{at}{point}000").chars().take(23).collect();
    format!("{digits}Z")
}
