//! Problems as gRPC has them: one table from the status and the code of a problem document to the status of a
//! call. So a rule and its error are written once, and both protocols answer with them.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::Problem;

/// The domain of the reasons in `google.rpc.ErrorInfo`: they are codes of problem documents.
const DOMAIN: &str = "cluster";

/// Codes whose status of a call is another one than that of their HTTP status.
const BY_CODE: &[(&str, Code)] = &[
    ("idempotency_key_in_use", Code::Aborted),
    ("idempotency_key_reused", Code::AlreadyExists),
    ("request_timeout", Code::DeadlineExceeded),
];

impl Problem {
    /// The status of a gRPC call that ended with this problem.
    #[must_use]
    pub fn grpc_code(&self) -> Code {
        let by_code = BY_CODE.iter().find(|(code, _)| *code == self.code());
        by_code.map_or_else(|| grpc_code_of(self.status()), |(_, status)| *status)
    }
}

/// The status of a call that comes nearest to a status of HTTP.
#[must_use]
pub fn grpc_code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 | 410 => Code::NotFound,
        405 | 415 | 501 | 505 => Code::Unimplemented,
        408 | 504 => Code::DeadlineExceeded,
        // A payment that was declined, stock that is not there, a condition that must be given.
        402 | 409 | 428 => Code::FailedPrecondition,
        // The client has to read anew and decide anew.
        412 => Code::Aborted,
        413 | 429 | 431 | 507 => Code::ResourceExhausted,
        502 | 503 => Code::Unavailable,
        400..=499 => Code::InvalidArgument,
        500..=599 => Code::Internal,
        _ => Code::Unknown,
    }
}

/// The detail is the message. The code and the members of the document are a `google.rpc.ErrorInfo`, and
/// `Retry-After` is a `google.rpc.RetryInfo`.
impl From<Problem> for Status {
    fn from(problem: Problem) -> Status {
        let members = problem
            .own_members()
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            });
        let mut details = ErrorDetails::new();
        details.set_error_info(problem.code(), DOMAIN, members.collect::<HashMap<_, _>>());
        let wait = problem
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        if let Some(seconds) = wait.and_then(|text| text.parse().ok()) {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
        }
        Status::with_error_details(problem.grpc_code(), problem.detail, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_call_follows_the_code_and_else_the_http_status() {
        for (status, code, expected) in [
            (402, "payment_declined", Code::FailedPrecondition),
            (404, "order_not_found", Code::NotFound),
            (409, "out_of_stock", Code::FailedPrecondition),
            (409, "idempotency_key_in_use", Code::Aborted),
            (422, "idempotency_key_reused", Code::AlreadyExists),
            (422, "invalid_quantity", Code::InvalidArgument),
            (400, "invalid_cursor", Code::InvalidArgument),
            (413, "body_too_large", Code::ResourceExhausted),
            (500, "internal_error", Code::Internal),
            (503, "overloaded", Code::Unavailable),
            (503, "request_timeout", Code::DeadlineExceeded),
            (507, "insufficient_storage", Code::ResourceExhausted),
        ] {
            let problem = Problem::new(StatusCode::from_u16(status).expect("a status"), code, "why");
            assert_eq!(problem.grpc_code(), expected, "{status} {code}");
        }
    }

    #[test]
    fn code_members_and_waiting_time_are_details() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too much")
            .with("sku", "cup")
            .with("left", 3)
            .retry_after(2);
        let status = Status::from(problem);
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "too much"));
        let details = status.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("overloaded", DOMAIN)
        );
        assert_eq!(
            (info.metadata["sku"].as_str(), info.metadata["left"].as_str()),
            ("cup", "3")
        );
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }
}
