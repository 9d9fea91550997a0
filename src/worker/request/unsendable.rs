//! Answers of handlers that HTTP cannot carry here: a tunnel (CONNECT), a switch to another protocol that
//! the client did not ask for or that HTTP/2 does not have, and a final status of 1xx. hyper would end the
//! connection without a word about the first two, and answer an empty 500 for the last. It must not know
//! the application.

use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;

use crate::http::Problem;

/// Whether the answer to this request may switch to another protocol: the client has asked for it.
pub(in crate::worker) fn can_switch<B>(request: &Request<B>) -> bool {
    request.extensions().get::<OnUpgrade>().is_some()
        && request.version() == Version::HTTP_11
        && request.method() != Method::CONNECT
}

/// The answer, or an error in its place if it cannot be sent.
pub(in crate::worker) fn replaced(
    response: Response,
    can_switch: bool,
    method: &Method,
    uri: &Uri,
) -> Response {
    let status = response.status();
    let is_tunnel = *method == Method::CONNECT && status.is_success();
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    if is_switch && can_switch {
        return response;
    }
    if is_switch || is_tunnel {
        return not_switched(method, uri).into_response();
    }
    if status.is_informational() {
        return not_final(status, method, uri).into_response();
    }
    response
}

fn not_switched(method: &Method, uri: &Uri) -> Problem {
    tracing::warn!(
        method = method.as_str(),
        path = uri.path(),
        "a handler switched to another protocol by CONNECT, or without an Upgrade header \
         of an HTTP/1.1 client: answered 501"
    );
    let detail =
        "a connection switches to another protocol only by an Upgrade header of HTTP/1.1, not by CONNECT";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "upgrade_not_supported", detail)
}

fn not_final(status: StatusCode, method: &Method, uri: &Uri) -> Problem {
    tracing::error!(
        method = method.as_str(),
        path = uri.path(),
        status = status.as_u16(),
        "a handler answered with a status of 1xx, which cannot be the last one"
    );
    Problem::internal_error()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn what_cannot_be_sent_is_replaced_and_all_else_is_not() {
        for (method, status, expected) in [
            (Method::GET, 200, 200),
            (Method::GET, 101, 501),
            (Method::POST, 101, 501),
            (Method::GET, 100, 500),
            (Method::GET, 103, 500),
            (Method::CONNECT, 200, 501),
            (Method::CONNECT, 204, 501),
            (Method::CONNECT, 404, 404),
            (Method::GET, 404, 404),
        ] {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            let sent = replaced(response, false, &method, &Uri::from_static("/x"));
            assert_eq!(sent.status().as_u16(), expected, "{method} {status}");
        }
    }
}
