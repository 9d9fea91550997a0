//! Why an order does not stand, as status, code and text: in a problem document and in the order's own
//! document.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::http::Problem;
use crate::observe::RequestContext;
use crate::shop::contract::{CommandRefusal, OrderId};
use crate::shop::orders::Rejection;

/// What both documents say.
struct RejectionText {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Vec<(&'static str, Value)>,
}

fn text_of(rejection: &Rejection) -> RejectionText {
    match rejection {
        Rejection::Refused(CommandRefusal::OutOfStock {
            sku,
            requested,
            available,
        }) => RejectionText {
            status: StatusCode::CONFLICT,
            code: "out_of_stock",
            detail: format!("{requested} of {sku} were ordered, {available} are available"),
            members: vec![
                ("sku", Value::from(sku.as_str())),
                ("requested", Value::from(*requested)),
                ("available", Value::from(*available)),
            ],
        },
        Rejection::Refused(CommandRefusal::Declined { code, message }) => RejectionText {
            status: StatusCode::PAYMENT_REQUIRED,
            code: "payment_declined",
            detail: message.clone(),
            members: vec![("decline_code", Value::from(code.as_str()))],
        },
        Rejection::Refused(
            CommandRefusal::Withdrawn | CommandRefusal::Irrevocable | CommandRefusal::Senseless(_),
        )
        | Rejection::GaveUp { .. } => RejectionText {
            status: StatusCode::CONFLICT,
            code: "order_given_up",
            detail:
                "a service did not answer in time; neither stock nor money was taken. This order has ended: \
                     order anew, under another Idempotency-Key"
                    .to_owned(),
            members: Vec::new(),
        },
        // The reason is a note between operators, which no client is told.
        Rejection::TakenBack { .. } => RejectionText {
            status: StatusCode::CONFLICT,
            code: "order_taken_back",
            detail: "the shop gave this order up; nothing was charged, or it was given back".to_owned(),
            members: Vec::new(),
        },
    }
}

/// The answer to the client that placed the order. It is final, and given again under the order's key: never
/// one that asks to be tried again, and always with the id of the request that placed the order.
pub(in crate::shop) fn problem(
    order: OrderId,
    request: Option<&RequestContext>,
    rejection: &Rejection,
) -> Problem {
    let RejectionText {
        status,
        code,
        detail,
        members,
    } = text_of(rejection);
    let mut problem = Problem::new(status, code, detail).with("order_id", order.to_string());
    if let Some(request) = request {
        problem = problem.with("request_id", request.id());
    }
    members
        .into_iter()
        .fold(problem, |problem, (name, value)| problem.with(name, value))
}

/// The member `rejection` of the order's document.
pub(in crate::shop) fn document(rejection: &Rejection) -> Value {
    let RejectionText {
        code,
        detail,
        members,
        ..
    } = text_of(rejection);
    let mut document = Map::new();
    document.insert("code".to_owned(), Value::from(code));
    document.insert("detail".to_owned(), Value::from(detail));
    document.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(document)
}
