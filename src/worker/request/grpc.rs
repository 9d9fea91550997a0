//! gRPC at the edge: which requests are calls, and the limits around them. Each refusal is an answer that
//! gRPC clients understand: HTTP 200 with the status of the call in its head.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::any;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::Service;

use super::grpc_body::{DeadlineBody, MessageArrival, MessagesBody};
use super::grpc_timeout;
use super::limits::{body_too_slow, catching, panicked, timed_out};
use crate::http::Problem;
use crate::worker::grpc;
use crate::worker::grpc_services::GrpcServices;
use crate::worker::handle::Worker;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The gRPC services of a worker.
pub(in crate::worker) struct GrpcEdge {
    router: Router,
    /// The paths of the methods that are known to take one message each.
    of_one_message: HashSet<String>,
}

/// How an answer is counted when its own status does not say it.
#[derive(Clone, Copy)]
struct CountedAs(StatusCode);

impl GrpcEdge {
    /// The services that the application has listed; `None` when it has none.
    pub(in crate::worker) fn new(worker: &Worker) -> Option<GrpcEdge> {
        let services = worker.grpc_services()?;
        let all = grpc::all(services, worker);
        Some(GrpcEdge {
            of_one_message: all.methods_of_one_message(),
            router: all.into_router(),
        })
    }

    /// The router's answer, or that of the limit that was met.
    pub(in crate::worker) async fn route(&self, request: Request<Incoming>, worker: &Worker) -> Response {
        let begun = Instant::now();
        let timeout = match checked(&request) {
            Ok(timeout) => timeout,
            Err(problem) => return refusal(*problem),
        };
        // Nothing is begun for a client that does not wait at all.
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return deadline_exceeded();
        }
        let deadline = timeout.map(|timeout| begun + timeout);
        let limit = worker.settings().http.max_body_bytes;
        let call = GrpcCall {
            method: request.method().clone(),
            uri: request.uri().clone(),
            takes_one_message: self.of_one_message.contains(request.uri().path()),
            deadline,
            arrival: Arc::default(),
        };
        let arrival = Arc::clone(&call.arrival);
        let request = if request.body().is_end_stream() {
            request.map(|_empty| Body::empty())
        } else {
            request.map(|body| Body::new(MessagesBody::new(body, limit, arrival)))
        };
        let response = call.run(self.router.clone(), request, worker).await;
        if call.arrival.is_too_long() && status_in(response.headers()).is_some() {
            return refusal(message_too_large(limit));
        }
        match deadline {
            Some(deadline) => response.map(|body| Body::new(DeadlineBody::new(body, deadline))),
            None => response,
        }
    }
}

/// One call on its way.
struct GrpcCall {
    method: Method,
    uri: Uri,
    takes_one_message: bool,
    deadline: Option<Instant>,
    arrival: Arc<MessageArrival>,
}

impl GrpcCall {
    /// Waits for the head of the answer: until the client's deadline, and no longer than `request_timeout`
    /// unless the client is sending a stream.
    async fn run(&self, mut router: Router, request: Request<Body>, worker: &Worker) -> Response {
        let limit = worker.settings().http.request_timeout;
        let mut handled = std::pin::pin!(catching(async move { router.call(request).await }));
        let mut patience = Instant::now() + limit;
        loop {
            let until = self.deadline.map_or(patience, |deadline| deadline.min(patience));
            match tokio::time::timeout_at(until, handled.as_mut()).await {
                Ok(Ok(Ok(response))) => return understood(response),
                Ok(Ok(Err(never))) => match never {},
                Ok(Err(panic)) => return refusal(panicked(worker, &self.method, &self.uri, &*panic)),
                Err(_elapsed) if self.deadline.is_some_and(|deadline| deadline <= until) => {
                    return deadline_exceeded();
                }
                Err(_elapsed) if self.arrival.is_quiet() && !self.takes_one_message => {
                    patience = Instant::now() + limit;
                }
                Err(_elapsed) if self.arrival.is_awaited() => return refusal(body_too_slow(worker)),
                Err(_elapsed) => {
                    let mut response = refusal(timed_out(worker, &self.method, &self.uri));
                    let counted = CountedAs(StatusCode::SERVICE_UNAVAILABLE);
                    response.extensions_mut().insert(counted);
                    return response;
                }
            }
        }
    }
}

/// Whether a request is a call of gRPC: that is what its media type says. `application/grpc-web` is another
/// protocol, which is not spoken here.
pub(in crate::worker) fn is_call(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = media_type.and_then(|text| text.strip_prefix(GRPC.as_bytes()));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// 505 for a call over HTTP/1.1, which has no place for the status of a call that is under way.
pub(in crate::worker) fn needs_http2() -> Problem {
    let detail = "gRPC is spoken over HTTP/2 only; begin the connection with its preface (prior knowledge)";
    Problem::new(
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        "http_version_not_supported",
        detail,
    )
}

/// Has the router answer 415 where the path is that of a gRPC service and the media type is not.
pub(in crate::worker) fn with_wrong_types(router: Router, services: &GrpcServices) -> Router {
    services.names().iter().fold(router, |router, name| {
        router.route(&format!("/{name}/{{*method}}"), any(wrong_type))
    })
}

async fn wrong_type() -> Problem {
    let detail =
        "this is the path of a gRPC service, which is called with Content-Type application/grpc over HTTP/2";
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        detail,
    )
    .header(ACCEPT, GRPC)
}

/// Checks the head of a call. The answer is its time-out.
fn checked(request: &Request<Incoming>) -> Result<Option<Duration>, Box<Problem>> {
    if request.method() != Method::POST {
        let detail = format!("a gRPC call is a POST, not a {}", request.method());
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        return Err(Box::new(problem));
    }
    let media_type = request.headers()[CONTENT_TYPE].as_bytes();
    let coding = media_type.strip_prefix(b"application/grpc+").map(|rest| {
        let end = rest.iter().position(|byte| b"; ".contains(byte));
        &rest[..end.unwrap_or(rest.len())]
    });
    match coding {
        None | Some(b"proto") => grpc_timeout::of(request.headers()),
        Some(coding) => {
            let coding = String::from_utf8_lossy(coding);
            let detail = format!(
                "the messages are in {coding:?}; expected application/grpc or application/grpc+proto"
            );
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Box::new(Problem::new(status, "unsupported_media_type", detail)))
        }
    }
}

/// A problem as the answer to a call.
pub(in crate::worker) fn refusal(problem: Problem) -> Response {
    Status::from(problem).into_http()
}

/// The client no longer waits: how late its call is, is its own affair.
fn deadline_exceeded() -> Response {
    let status =
        Status::deadline_exceeded("there was no answer at the deadline of the call; what was begun goes on");
    let mut response: Response = status.into_http();
    let counted = CountedAs(StatusCode::REQUEST_TIMEOUT);
    response.extensions_mut().insert(counted);
    response
}

fn message_too_large(limit: usize) -> Problem {
    let detail = format!("a message is longer than {limit} bytes, which is the most that is taken");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "message_too_large", detail)
}

/// A layer around a service may answer with a status of HTTP, which clients of gRPC would have to guess at.
fn understood(response: Response) -> Response {
    let status = response.status();
    if status == StatusCode::OK {
        return response;
    }
    let detail = status
        .canonical_reason()
        .unwrap_or("the service refused the call");
    Status::new(crate::http::grpc_code_of(status), detail).into_http()
}

/// The status of the call, when it stands in the head of the answer.
fn status_in(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(status.as_bytes()))
}

/// The status of HTTP as which an answer is counted: a call that fails is no success, though HTTP says 200.
/// 405 is a method that is not there, which the counter of routes does not list.
pub(in crate::worker) fn counted_status<B>(response: &http::Response<B>) -> StatusCode {
    if let Some(CountedAs(status)) = response.extensions().get() {
        return *status;
    }
    match status_in(response.headers()) {
        None | Some(Code::Ok) => response.status(),
        Some(code) => match code {
            Code::Ok => StatusCode::OK,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::Cancelled => {
                StatusCode::BAD_REQUEST
            }
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Unimplemented => StatusCode::METHOD_NOT_ALLOWED,
            Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_makes_a_call() {
        let is_call = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().expect("a value"));
            is_call(&headers)
        };
        for call in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x=y",
            "application/grpc+json",
        ] {
            assert!(is_call(call), "{call}");
        }
        for other in [
            "application/json",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grp",
            "",
        ] {
            assert!(!is_call(other), "{other}");
        }
        assert!(!super::is_call(&HeaderMap::new()));
    }
}
