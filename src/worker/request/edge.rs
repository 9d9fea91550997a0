//! One request: counted, probed, limited, routed, answered. It must not know how its bytes travel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;

use super::access::AccessEntry;
use super::body::{AnswerBody, AnswerContent, InFlight, Protocol};
use super::client_address;
#[cfg(feature = "grpc")]
use super::grpc::{self, GrpcEdge};
use super::health::{self, Probe};
use super::routes::{self, CountedRequest, RouteCounter};
use super::{drill, limits};
use crate::config::ListenerRole;
use crate::http::{InternalListener, Problem, framing_problem, host_problem};
use crate::observe::{RequestContext, X_REQUEST_ID};
use crate::scoreboard::Counter;
use crate::worker::connection::shared::Connection;
use crate::worker::connection::state::ConnectionEvent;
use crate::worker::handle::Worker;

/// The longest body that axum's extractors take by themselves, in bytes.
const AXUM_LIMIT: usize = 2 * 1024 * 1024;

/// What the edge does for those alone who want it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::worker) struct EdgeFeatures {
    /// Answers are counted by route, because there is an admin listener where the counts can be read.
    pub(in crate::worker) is_watched: bool,
    /// Handlers are given the address of their client.
    pub(in crate::worker) connect_info: bool,
}

/// What all requests of a worker share.
pub(in crate::worker) struct Edge {
    pub(in crate::worker) worker: Worker,
    router: Router,
    drill: Option<Router>,
    /// The gRPC services of the application, when it has some.
    #[cfg(feature = "grpc")]
    grpc: Option<GrpcEdge>,
    connect_info: bool,
    /// What answers in its place from some moment on.
    successor: OnceLock<Arc<Edge>>,
    /// Counts answers by route; absent when there is no admin listener where the counts can be read.
    pub(in crate::worker) routes: Option<RouteCounter>,
}

impl Edge {
    pub(in crate::worker) fn new(worker: Worker, router: Router, features: EdgeFeatures) -> Edge {
        let EdgeFeatures {
            is_watched,
            connect_info,
        } = features;
        let router = without_axum_limit(router, worker.settings().http.max_body_bytes);
        #[cfg(feature = "grpc")]
        let router = match worker.grpc_services() {
            Some(services) => grpc::with_wrong_types(router, services),
            None => router,
        };
        let drill = worker.settings().drill.routes.then(drill::routes);
        let recording = |router| {
            if is_watched {
                routes::with_recorded_routes(router)
            } else {
                router
            }
        };
        let routes = is_watched.then(|| RouteCounter::new(worker.board().clone()));
        Edge {
            #[cfg(feature = "grpc")]
            grpc: GrpcEdge::new(&worker),
            worker,
            router: recording(router),
            drill: drill.map(recording),
            connect_info,
            successor: OnceLock::new(),
            routes,
        }
    }

    /// The edge of an application that has not booted yet: refuses everything, and says what the boot waits
    /// for.
    pub(in crate::worker) fn waiting(worker: Worker, features: EdgeFeatures) -> Edge {
        let waiting = worker.clone();
        let refuse = async move || {
            let reason = waiting.boot_wait().reason().unwrap_or_default();
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_booted", reason).retry_after(1)
        };
        Edge::new(worker, Router::new().fallback(refuse), features)
    }

    /// Has another edge answer, also on the connections that are open already.
    pub(in crate::worker) fn succeed_by(&self, successor: Arc<Edge>) {
        let first = self.successor.set(successor);
        debug_assert!(first.is_ok(), "an application boots once");
    }

    /// The edge that answers now.
    fn current(self: &Arc<Edge>) -> &Arc<Edge> {
        self.successor.get().unwrap_or(self)
    }

    /// Whether the application has gRPC services.
    pub(in crate::worker) fn has_services(&self) -> bool {
        #[cfg(feature = "grpc")]
        return self.grpc.is_some();
        #[cfg(not(feature = "grpc"))]
        false
    }

    /// Whether a request is for the gRPC services.
    #[cfg(feature = "grpc")]
    fn takes_as_grpc<B>(&self, request: &Request<B>) -> bool {
        self.grpc.is_some() && grpc::is_call(request.headers())
    }

    /// The router of a request: the application's, or that of the drills.
    fn router_for(&self, path: &str) -> Router {
        match &self.drill {
            Some(drill) if path.starts_with("/drill/") => drill.clone(),
            Some(_) | None => self.router.clone(),
        }
    }
}

/// The edge's own limit holds for every body, whatever extractor reads it. The limit of axum is only taken
/// away where it is the lower one, because each layer costs every request.
fn without_axum_limit(router: Router, max_body_bytes: usize) -> Router {
    if max_body_bytes <= AXUM_LIMIT {
        return router;
    }
    router.layer(axum::extract::DefaultBodyLimit::disable())
}

/// The service of one connection.
pub(in crate::worker) struct ConnectionService {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    protocol: Protocol,
}

impl ConnectionService {
    pub(in crate::worker) fn new(
        edge: Arc<Edge>,
        connection: Arc<Connection>,
        protocol: Protocol,
    ) -> ConnectionService {
        ConnectionService {
            edge,
            connection,
            protocol,
        }
    }
}

impl ConnectionService {
    /// 431 for a head that is too long, where hyper leaves it to the edge.
    fn head_problem<B>(&self, request: &Request<B>) -> Option<Problem> {
        if self.protocol == Protocol::Http1 || !self.edge.current().has_services() {
            return None;
        }
        // As RFC 9113 (6.5.2) counts.
        let fields = request.headers().iter();
        let bytes: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        let most = self.edge.worker.settings().http.max_header_bytes;
        (bytes > most).then(|| headers_too_large(most))
    }
}

/// 431: the head of a request is longer than may be.
pub(in crate::worker) fn headers_too_large(most: usize) -> Problem {
    let detail = format!("request line and headers are longer than {most} bytes (or more than 100 headers)");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "headers_too_large", detail)
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn call(&self, mut request: Request<Incoming>) -> AnswerFuture {
        let edge = self.edge.current();
        let worker = &edge.worker;
        worker.board().counters().add(Counter::Requests);
        let mut answer = PendingAnswer {
            in_flight: InFlight::new(worker.board().clone(), Arc::clone(&self.connection)),
            access: AccessEntry::begin(worker, &request, &self.connection),
            counted: None,
            edge: Arc::clone(edge),
            connection: Arc::clone(&self.connection),
            protocol: self.protocol,
            #[cfg(feature = "grpc")]
            is_grpc: edge.takes_as_grpc(&request),
            context: RequestContext::of(request.headers()),
        };
        let refused = self.head_problem(&request);
        if let Some(refused) = refused
            .or_else(|| host_problem(&request))
            .or_else(|| framing_problem(&request))
        {
            return AnswerFuture::Known(Some(answer.at_once(Err(refused))));
        }
        #[cfg(feature = "grpc")]
        if answer.is_grpc {
            return match self.protocol {
                Protocol::Http1 => {
                    answer.is_grpc = false;
                    AnswerFuture::Known(Some(answer.at_once(Err(grpc::needs_http2()))))
                }
                Protocol::Http2 => pending(answer.context.clone(), answer.called(request)),
            };
        }
        let is_watched = edge.routes.is_some();
        let probe = Probe::at(request.uri().path());
        match probe.map(|probe| (probe, probe.answer_now(request.method(), worker))) {
            Some((probe, Some(known))) => {
                answer.counted = is_watched.then(|| CountedRequest::probe(&request, probe.path()));
                AnswerFuture::Known(Some(answer.at_once(known)))
            }
            Some((probe, None)) => pending(answer.context.clone(), async move {
                answer.counted = is_watched.then(|| CountedRequest::slow_probe(&request, probe.path()));
                let readiness = health::answer_readiness(&answer.edge.worker).await;
                answer.short(readiness)
            }),
            None => pending(answer.context.clone(), async move {
                answer.counted = is_watched.then(|| CountedRequest::routed(&mut request));
                answer.in_flight.note(request.method(), request.uri().path());
                answer.tell_of_connection(&mut request);
                let router = answer.edge.router_for(request.uri().path());
                let routed = limits::route(router, request, &answer.edge.worker).await;
                answer.finish(routed.map(AnswerContent::Routed))
            }),
        }
    }
}

/// An answer that takes its time.
fn pending(
    context: RequestContext,
    answer: impl Future<Output = Response<AnswerBody>> + Send + 'static,
) -> AnswerFuture {
    AnswerFuture::Pending(Box::pin(context.scope(answer)))
}

/// An answer in the making, and everything that ends with it.
struct PendingAnswer {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    protocol: Protocol,
    /// The client understands a refusal only as gRPC has it.
    #[cfg(feature = "grpc")]
    is_grpc: bool,
    in_flight: InFlight,
    access: Option<AccessEntry>,
    /// The request, when answers are counted by route.
    counted: Option<CountedRequest>,
    context: RequestContext,
}

impl PendingAnswer {
    /// As [`PendingAnswer::short`], for the request that has just come.
    fn at_once(self, answer: Result<Response<Bytes>, Problem>) -> Response<AnswerBody> {
        let context = self.context.clone();
        context.run(|| self.short(answer))
    }

    /// Answers without the application.
    fn short(self, answer: Result<Response<Bytes>, Problem>) -> Response<AnswerBody> {
        match answer {
            Ok(response) => self.finish(response.map(AnswerContent::Short)),
            Err(problem) => {
                let refused = self.refusal(problem);
                self.finish(refused.map(AnswerContent::Routed))
            }
        }
    }

    /// Gives handlers what they may ask about the connection of their request.
    fn tell_of_connection(&self, request: &mut Request<Incoming>) {
        if self.edge.connect_info {
            client_address::give(request, &self.connection);
        }
        if self.connection.role == ListenerRole::Internal {
            request.extensions_mut().insert(InternalListener);
        }
    }

    /// A problem as the client understands it.
    fn refusal(&self, problem: Problem) -> axum::response::Response {
        #[cfg(feature = "grpc")]
        if self.is_grpc {
            return grpc::refusal(problem);
        }
        problem.into_response()
    }

    /// The status as which an answer is counted.
    fn counted_status<B>(&self, response: &Response<B>) -> StatusCode {
        #[cfg(feature = "grpc")]
        if self.is_grpc {
            return grpc::counted_status(response);
        }
        response.status()
    }

    /// Has a gRPC service answer.
    #[cfg(feature = "grpc")]
    async fn called(mut self, mut request: Request<Incoming>) -> Response<AnswerBody> {
        let edge = Arc::clone(&self.edge);
        self.counted = edge.routes.is_some().then(|| CountedRequest::called(&request));
        self.in_flight.note(request.method(), request.uri().path());
        self.tell_of_connection(&mut request);
        let services = edge
            .grpc
            .as_ref()
            .expect("a request is taken as a call only then");
        let routed = services.route(request, &edge.worker).await;
        self.finish(routed.map(AnswerContent::Routed))
    }

    /// The head of the answer is known: counts it, logs it, and hands it over.
    fn finish(self, response: Response<AnswerContent>) -> Response<AnswerBody> {
        let worker = &self.edge.worker;
        let status = self.counted_status(&response);
        worker.board().counters().add(Counter::of_status(status.as_u16()));
        if let (Some(request), Some(routes)) = (self.counted, &self.edge.routes) {
            routes.count(&request, status);
        }
        if let Some(access) = self.access {
            access.end(status);
        }
        let mut response = response.map(|content| AnswerBody::new(content, self.in_flight, self.protocol));
        // The last of pipelined requests says so. HTTP/2 has no such header: the connection sends GOAWAY.
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if (worker.is_draining() || self.connection.is_old())
            && !is_switch
            && self.protocol == Protocol::Http1
            && !self.connection.state().has_more_requests()
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let headers = response.headers_mut();
        headers.entry(X_REQUEST_ID).or_insert(self.context.header());
        self.connection.on(if is_switch {
            ConnectionEvent::Switched
        } else {
            ConnectionEvent::AnswerBegun
        });
        response
    }
}

/// An answer that is known at once, without a box or a timer, or one that is not.
pub(in crate::worker) enum AnswerFuture {
    Known(Option<Response<AnswerBody>>),
    Pending(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Future for AnswerFuture {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            AnswerFuture::Known(answer) => {
                Poll::Ready(Ok(answer.take().expect("a future is not polled after its end")))
            }
            AnswerFuture::Pending(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}
