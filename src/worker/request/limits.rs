//! The limits around the application's router: a body that is too long, an answer that takes too long, a
//! handler that panics. Each has a clear answer, and none shows anything of the inside.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use tower::Service;

use super::body::{BodyArrival, BoundedBody};
use super::unsendable;
use crate::config::duration;
use crate::http::Problem;
use crate::scoreboard::Counter;
use crate::worker::handle::Worker;

/// The router's answer, or that of the limit that was met.
pub(in crate::worker) async fn route(
    mut router: Router,
    request: Request<Incoming>,
    worker: &Worker,
) -> Response {
    let limit = worker.settings().http.max_body_bytes;
    if request.body().size_hint().lower() > limit as u64 {
        return Problem::body_too_large(limit).into_response();
    }
    let can_switch = unsendable::can_switch(&request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (request, arrival) = bounded(request, limit);
    let handled = catching(async move { router.call(request).await });
    let response = match tokio::time::timeout(worker.settings().http.request_timeout, handled).await {
        Ok(Ok(Ok(response))) => unsendable::replaced(response, can_switch, &method, &uri),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => panicked(worker, &method, &uri, &*panic).into_response(),
        Err(_elapsed) if arrival.as_ref().is_some_and(|arrival| arrival.is_awaited()) => {
            body_too_slow(worker).into_response()
        }
        Err(_elapsed) => timed_out(worker, &method, &uri).into_response(),
    };
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused && arrival.is_some_and(|arrival| arrival.is_too_long()) {
        return Problem::body_too_large(limit).into_response();
    }
    response
}

/// The request as the router takes it. A body that is empty needs no watching.
fn bounded(request: Request<Incoming>, limit: usize) -> (Request<Body>, Option<Arc<BodyArrival>>) {
    if request.body().is_end_stream() {
        return (request.map(|_empty| Body::empty()), None);
    }
    let arrival = Arc::new(BodyArrival::default());
    let kept = Arc::clone(&arrival);
    (
        request.map(|body| Body::new(BoundedBody::new(body, limit, arrival))),
        Some(kept),
    )
}

/// A future whose panic is a value.
pub(super) async fn catching<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    // A future that panicked is not polled again, so nobody sees its broken state.
    std::future::poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}

pub(super) fn panicked(worker: &Worker, method: &Method, uri: &Uri, panic: &(dyn Any + Send)) -> Problem {
    worker.board().counters().add(Counter::Panics);
    let reason = panic.downcast_ref::<&str>().copied();
    let reason = reason
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    tracing::error!(
        method = method.as_str(),
        path = uri.path(),
        panic = reason,
        "a handler panicked"
    );
    Problem::internal_error()
}

/// The handler could not even begin: that is the client's doing, and no fault of this generation.
pub(super) fn body_too_slow(worker: &Worker) -> Problem {
    let limit = duration::format(worker.settings().http.request_timeout);
    let detail = format!("the request's body was not complete {limit} after its headers");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
        .header(CONNECTION, HeaderValue::from_static("close"))
}

pub(super) fn timed_out(worker: &Worker, method: &Method, uri: &Uri) -> Problem {
    worker.board().counters().add(Counter::RequestTimeouts);
    tracing::warn!(
        method = method.as_str(),
        path = uri.path(),
        "a request ran into request_timeout"
    );
    let limit = duration::format(worker.settings().http.request_timeout);
    let detail = format!("there was no answer within {limit}; whether anything was done is not known");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "request_timeout", detail).retry_after(1)
}
