//! What the services answer, as messages. Pure.

use prost_types::Timestamp;
use serde_json::Value;
use tonic::Status;

use super::v1;
use crate::base::money::Money;
use crate::shop::contract::{OrderId, OrderLine, TimelineEntry};
use crate::shop::events::{EventPosition, FeedEvent};
use crate::shop::http::{adjustments, conditions, rejection};
use crate::shop::inventory::{Adjustment, Article};
use crate::shop::orders::{NewOrder, SagaOutcome};
use crate::shop::payments::Payment;

/// An order that ended like that, or has not ended.
pub(super) fn order(id: OrderId, placed: &NewOrder, end: Option<&SagaOutcome>) -> v1::Order {
    let (status, rejection) = match end {
        Some(SagaOutcome::Confirmed) => (v1::OrderStatus::Confirmed, None),
        Some(SagaOutcome::Rejected(why)) => (v1::OrderStatus::Rejected, Some(told(rejection::document(why)))),
        Some(SagaOutcome::Parked | SagaOutcome::Lost) | None => (v1::OrderStatus::Pending, None),
    };
    v1::Order {
        id: id.to_string(),
        status: status.into(),
        customer_id: placed.customer.as_str().to_owned(),
        items: placed.lines.iter().map(item).collect(),
        total: Some(money(placed.total)),
        created_at: Some(timestamp(id.created_ms())),
        rejection,
    }
}

fn item(line: &OrderLine) -> v1::OrderItem {
    v1::OrderItem {
        sku: line.sku.to_string(),
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        unit_price: Some(money(line.unit_price)),
    }
}

/// The member `rejection` of the order's document, whose first members are `code` and `detail`.
fn told(document: Value) -> v1::OrderRejection {
    let mut told = v1::OrderRejection::default();
    let Value::Object(members) = document else {
        return told;
    };
    for (name, value) in members {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match name.as_str() {
            "code" => told.code = text,
            "detail" => told.detail = text,
            _ => drop(told.members.insert(name, text)),
        }
    }
    told
}

pub(super) fn timeline_entry(entry: TimelineEntry) -> v1::OrdersTimelineResponse {
    v1::OrdersTimelineResponse {
        at: Some(timestamp(entry.at_ms)),
        service: entry.service.word().to_owned(),
        step: entry.step.to_owned(),
        outcome: entry.outcome.to_owned(),
        worker: entry.worker.to_string(),
        detail: entry.detail.unwrap_or_default(),
    }
}

pub(super) fn event(event: &FeedEvent) -> v1::EventsFollowResponse {
    v1::EventsFollowResponse {
        position: event.position.to_string(),
        id: event.event.id(),
        r#type: event.event.kind.type_name().to_owned(),
        subject: event.event.subject(),
        time: Some(timestamp(event.event.at_ms)),
        cloud_event: String::from_utf8_lossy(&event.json).into_owned(),
    }
}

/// Where a client stands that was told everything it wants up to there.
pub(super) fn position(position: EventPosition) -> v1::EventsFollowResponse {
    v1::EventsFollowResponse {
        position: position.to_string(),
        ..v1::EventsFollowResponse::default()
    }
}

/// # Errors
/// When the article has no document, and so no tag.
pub(super) fn article(article: Article) -> Result<v1::Article, Status> {
    let etag = conditions::tag_of_article(&article)?;
    Ok(v1::Article {
        available: pieces(article.available()),
        sku: article.sku.to_string(),
        name: article.name,
        unit_price: Some(money(article.unit_price)),
        on_hand: pieces(article.on_hand),
        reserved: pieces(article.reserved),
        on_sale: article.on_sale,
        etag,
    })
}

pub(super) fn adjustment(adjustment: Adjustment) -> v1::Adjustment {
    v1::Adjustment {
        id: adjustments::id(&adjustment),
        sku: adjustment.sku.to_string(),
        delta: adjustment.delta,
        reason: adjustment.reason,
        on_hand: pieces(adjustment.on_hand),
        at: Some(timestamp(adjustment.at_ms)),
    }
}

pub(super) fn payment(payment: Payment) -> v1::Payment {
    v1::Payment {
        id: payment.id.to_string(),
        order_id: payment.id.0.to_string(),
        status: payment.status.word().to_owned(),
        amount: Some(money(payment.amount)),
        created_at: Some(timestamp(payment.at_ms)),
        decline_code: payment.status.decline_code().unwrap_or_default().to_owned(),
        method: payment.method,
    }
}

fn money(money: Money) -> v1::Money {
    v1::Money {
        amount: i64::try_from(money.amount).unwrap_or(i64::MAX),
        currency: money.currency.as_str().to_owned(),
    }
}

fn pieces(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time in milliseconds since 1970.
fn timestamp(unix_ms: u64) -> Timestamp {
    let nanos = unix_ms % 1_000 * 1_000_000;
    Timestamp {
        seconds: i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_milliseconds() {
        let seconds = 1_795_363_200;
        let time = timestamp(1_795_363_200_007);
        assert_eq!((time.seconds, time.nanos), (seconds, 7_000_000));
    }

    #[test]
    fn what_is_special_about_a_rejection_is_a_member() {
        let document =
            serde_json::json!({"code": "out_of_stock", "detail": "why", "sku": "cup", "available": 3});
        let rejection = told(document);
        assert_eq!(
            (rejection.code.as_str(), rejection.detail.as_str()),
            ("out_of_stock", "why")
        );
        assert_eq!(
            (
                rejection.members["sku"].as_str(),
                rejection.members["available"].as_str()
            ),
            ("cup", "3")
        );
    }
}
