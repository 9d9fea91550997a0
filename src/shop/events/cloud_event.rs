//! An event as CloudEvents 1.0 has it in JSON, with the extensions `requestid` and `traceparent` of the
//! request that caused it, as far as they are known.

use serde::Serialize;
use serde_json::{Value, json};

use crate::shop::contract::{EventData, EventKind, OrderLine, StoredEvent};
use crate::shop::recovery::clock::rfc3339;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: Value,
}

/// The event as JSON text.
pub(super) fn json(event: &StoredEvent) -> Vec<u8> {
    let document = CloudEvent {
        specversion: "1.0",
        id: event.id(),
        source: source(event.kind),
        kind: event.kind.type_name(),
        subject: event.subject(),
        time: rfc3339(event.at_ms),
        datacontenttype: "application/json",
        requestid: event.request_id.as_deref(),
        traceparent: event.traceparent.as_deref(),
        data: data(&event.data),
    };
    serde_json::to_vec(&document).expect("an event has only string keys and cannot fail to be written")
}

/// The service that tells the event, relative to the address of the shop.
fn source(kind: EventKind) -> &'static str {
    match kind {
        EventKind::OrderConfirmed | EventKind::OrderRejected => "/orders",
        EventKind::PaymentCharged
        | EventKind::PaymentDeclined
        | EventKind::PaymentCancelled
        | EventKind::PaymentRefunded => "/payments",
        EventKind::ArticleChanged => "/inventory",
    }
}

fn data(data: &EventData) -> Value {
    match data {
        EventData::Order {
            order,
            customer,
            total,
            lines,
            reason,
        } => {
            let items: Vec<Value> = lines.iter().map(item).collect();
            let mut data = json!({
                "order_id": order,
                "customer_id": customer,
                "items": items,
                "total": total,
            });
            if let Some(reason) = reason {
                data["reason"] = Value::from(*reason);
            }
            data
        }
        EventData::Payment { payment, amount } => {
            json!({"payment_id": payment, "order_id": payment.0, "amount": amount})
        }
        EventData::Article(article) => json!(article),
    }
}

fn item(line: &OrderLine) -> Value {
    json!({"sku": line.sku, "quantity": line.quantity, "unit_price": line.unit_price})
}
