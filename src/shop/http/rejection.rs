//! Why an order does not stand, in status, code and words: as a problem document and as a member of the order.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::http::Problem;
use crate::shop::contract::{OrderId, Refusal};
use crate::shop::orders::Rejection;

/// The same for both forms.
struct Said {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Vec<(&'static str, Value)>,
}

fn say(rejection: &Rejection) -> Said {
    match rejection {
        Rejection::Refused(Refusal::OutOfStock { sku, requested, available }) => Said {
            status: StatusCode::CONFLICT,
            code: "out_of_stock",
            detail: format!("{requested} of {sku} were ordered, {available} are available"),
            members: vec![
                ("sku", Value::from(sku.as_str())),
                ("requested", Value::from(*requested)),
                ("available", Value::from(*available)),
            ],
        },
        Rejection::Refused(Refusal::Declined { code, message }) => Said {
            status: StatusCode::PAYMENT_REQUIRED,
            code: "payment_declined",
            detail: message.clone(),
            members: vec![("decline_code", Value::from(code.as_str()))],
        },
        Rejection::Refused(Refusal::Withdrawn | Refusal::Irrevocable | Refusal::Senseless(_))
        | Rejection::GaveUp { .. } => Said {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "order_given_up",
            detail: "a service did not answer in time; neither stock nor money was taken, and it can be ordered anew"
                .to_owned(),
            members: Vec::new(),
        },
        // The reason is a note from one of us to the others; it stays in the house.
        Rejection::TakenBack { .. } => Said {
            status: StatusCode::CONFLICT,
            code: "order_taken_back",
            detail: "the shop gave this order up; nothing was charged, or it was given back".to_owned(),
            members: Vec::new(),
        },
    }
}

/// The answer to whoever placed the order.
pub(super) fn problem(order: OrderId, rejection: &Rejection) -> Problem {
    let Said {
        status,
        code,
        detail,
        members,
    } = say(rejection);
    let mut problem = Problem::new(status, code, detail).with("order_id", order.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        problem = problem.retry_after(1);
    }
    members
        .into_iter()
        .fold(problem, |problem, (name, value)| problem.with(name, value))
}

/// The order's `rejection`.
pub(super) fn document(rejection: &Rejection) -> Value {
    let Said {
        code,
        detail,
        members,
        ..
    } = say(rejection);
    let mut document = Map::new();
    document.insert("code".to_owned(), Value::from(code));
    document.insert("detail".to_owned(), Value::from(detail));
    document.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(document)
}
