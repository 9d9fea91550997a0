//! Problem documents (RFC 9457): every error of the edge is one, with a stable `code` for programs and a
//! `detail` for people. It must not know which errors there are.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use crate::observe::{RequestContext, X_REQUEST_ID};

/// The longest text in a problem document, in bytes. A longer one, which has something of the client's in it,
/// loses its middle.
const MAX_TEXT: usize = 500;
/// The beginning that a text which is too long keeps, in bytes: what is wrong stands there, what was expected
/// at the end.
const KEPT_BEGINNING: usize = 250;

/// The media type of a problem document.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer that is an error: `{"type":"about:blank","title","status","code","detail", …}` as
/// `application/problem+json`.
///
/// ```
/// use cluster::http::Problem;
/// use http::StatusCode;
///
/// let detail = "only 1 of espresso-cup is left";
/// let problem = Problem::new(StatusCode::CONFLICT, "out_of_stock", detail).with("order_id", "o-1");
/// assert_eq!(problem.code(), "out_of_stock");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    pub(super) detail: String,
    members: Map<String, Value>,
    pub(super) headers: HeaderMap,
}

impl Problem {
    /// A problem with this status, stable code and explanation.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            detail: bounded(detail.into()),
            members: Map::new(),
            headers: HeaderMap::new(),
        }
    }

    /// 413 `body_too_large`: the request's body is longer than `limit` bytes.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Problem {
        let detail =
            format!("the request's body is longer than {limit} bytes, which is the most that is taken");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 500 `internal_error`: the log has the reason under the request's id.
    #[must_use]
    pub fn internal_error() -> Problem {
        let detail = "the server failed to answer; its log has the reason under this request id";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    /// Adds a member to the document. The five standard members cannot be replaced.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        let value = match value.into() {
            Value::String(text) => Value::String(bounded(text)),
            other => other,
        };
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.insert(name, value);
        self
    }

    /// Adds the header `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Problem {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The document as JSON. Within a request it has the request's id as the member `request_id`, unless the
    /// problem has such a member.
    #[must_use]
    pub fn document(&self) -> String {
        let mut members = self.own_members();
        members.insert("type".to_owned(), Value::from("about:blank"));
        members.insert(
            "title".to_owned(),
            Value::from(self.status.canonical_reason().unwrap_or("Error")),
        );
        members.insert("status".to_owned(), Value::from(self.status.as_u16()));
        members.insert("code".to_owned(), Value::from(self.code));
        members.insert("detail".to_owned(), Value::from(self.detail.as_str()));
        Value::Object(members).to_string()
    }

    /// The members of the document beside the standard ones, with the request's id.
    pub(super) fn own_members(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        if let Some(context) = RequestContext::current() {
            let id = members.entry("request_id");
            id.or_insert_with(|| Value::from(context.id()));
        }
        members
    }

    /// The whole answer as the bytes of HTTP/1.1, with `Connection: close`. For answers that hyper does not
    /// write (to a connection too many, or to a head that never ends).
    #[must_use]
    pub fn to_http1(&self) -> Vec<u8> {
        let document = self.document();
        let reason = self.status.canonical_reason().unwrap_or("Error");
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16()).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(context) = RequestContext::current() {
            bytes.extend_from_slice(format!("{X_REQUEST_ID}: {}\r\n", context.id()).as_bytes());
        }
        let length = document.len();
        let rest = format!(
            "content-type: application/problem+json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{document}"
        );
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }
}

/// A text without its middle, if it is too long.
fn bounded(text: String) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let beginning = &text[..text.floor_char_boundary(KEPT_BEGINNING)];
    let rest = MAX_TEXT - KEPT_BEGINNING;
    let end = &text[text.ceil_char_boundary(text.len() - rest)..];
    let left_out = text.len() - beginning.len() - end.len();
    format!("{beginning}[… {left_out} bytes …]{end}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.document()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem::new(StatusCode::CONFLICT, "out_of_stock", "only 1 \"cup\" is left")
            .with("order_id", "o-1")
            .retry_after(2)
    }

    #[test]
    fn the_document_has_the_standard_members_and_its_own() {
        let document: Value = serde_json::from_str(&problem().document()).expect("JSON");
        assert_eq!(
            document,
            serde_json::json!({"type": "about:blank", "title": "Conflict", "status": 409,
                "code": "out_of_stock", "detail": "only 1 \"cup\" is left", "order_id": "o-1"})
        );
    }

    #[test]
    fn within_a_request_the_document_names_it() {
        let context = RequestContext::kept("r-1", None).expect("an id");
        let (own, other) = context.run(|| {
            let other = problem().with("request_id", "r-0");
            (problem().to_http1(), other.document())
        });
        let own = String::from_utf8(own).expect("text");
        assert!(
            own.contains("\r\nx-request-id: r-1\r\n") && own.contains(r#""request_id":"r-1""#),
            "{own}"
        );
        assert!(other.contains(r#""request_id":"r-0""#), "{other}");
    }

    #[test]
    fn a_member_cannot_replace_a_standard_one() {
        let document: Value = serde_json::from_str(&problem().with("status", 200).document()).expect("JSON");
        assert_eq!(document["status"], 409);
    }

    #[test]
    fn a_text_that_is_too_long_loses_its_middle() {
        for filling in ["x", "é", "\u{1f980}"] {
            let long = format!("unknown field `{}`, expected `y`", filling.repeat(100_000));
            let problem = Problem::new(StatusCode::BAD_REQUEST, "bad", long.clone()).with("field", long);
            let document: Value = serde_json::from_str(&problem.document()).expect("JSON");
            for text in [&document["detail"], &document["field"]] {
                let text = text.as_str().expect("a text");
                assert!(
                    text.starts_with("unknown field `") && text.ends_with("`, expected `y`"),
                    "{text}"
                );
                assert!(text.contains(" bytes …]") && text.len() < MAX_TEXT + 50, "{text}");
            }
        }
        let whole = "x".repeat(MAX_TEXT);
        let problem = Problem::new(StatusCode::BAD_REQUEST, "bad", whole.clone());
        assert_eq!(problem.detail, whole);
    }

    #[test]
    fn the_response_carries_status_type_and_headers() {
        let response = problem().into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn the_bare_bytes_are_a_whole_answer() {
        let bytes = String::from_utf8(problem().to_http1()).expect("text");
        let (head, body) = bytes.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 409 Conflict\r\nretry-after: 2\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        assert!(head.contains("connection: close"), "{head}");
    }
}
