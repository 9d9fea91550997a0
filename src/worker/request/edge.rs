//! One request: counted, probed, limited, routed, answered. It must not know how its bytes travel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;

use super::access::Access;
use super::body::{AnswerBody, AnswerContent, InFlight, Protocol};
use super::health::{self, Probe};
use super::routes::{self, Asked, Routes};
use super::{drill, limits};
use crate::http::{Problem, framing_problem, host_problem};
use crate::scoreboard::Counter;
use crate::worker::connection::shared::Connection;
use crate::worker::connection::state::ConnectionEvent;
use crate::worker::handle::Worker;

/// What axum's extractors take at most by themselves.
const AXUMS_LIMIT: usize = 2 * 1024 * 1024;

/// What all requests of a worker share.
pub(in crate::worker) struct Edge {
    pub(in crate::worker) worker: Worker,
    router: Router,
    drill: Option<Router>,
    /// Where answers are counted by route; nowhere when nobody can read it.
    pub(in crate::worker) routes: Option<Routes>,
}

impl Edge {
    pub(in crate::worker) fn new(worker: Worker, router: Router, is_watched: bool) -> Edge {
        let router = without_axums_limit(router, worker.settings().http.max_body_bytes);
        let drill = worker.settings().drill.routes.then(drill::routes);
        let ticketed = |router| {
            if is_watched {
                routes::ticketed(router)
            } else {
                router
            }
        };
        let routes = is_watched.then(|| Routes::new(worker.board().clone()));
        Edge {
            worker,
            router: ticketed(router),
            drill: drill.map(ticketed),
            routes,
        }
    }

    /// Whose request it is: the application's, or a drill.
    fn router_for(&self, path: &str) -> Router {
        match &self.drill {
            Some(drill) if path.starts_with("/drill/") => drill.clone(),
            Some(_) | None => self.router.clone(),
        }
    }
}

/// The edge's own limit holds for every body, whatever extractor reads it. axum's is only taken away where it would be met
/// first, because each layer costs every request.
fn without_axums_limit(router: Router, max_body_bytes: usize) -> Router {
    if max_body_bytes <= AXUMS_LIMIT {
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

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        let worker = &self.edge.worker;
        worker.board().counters().add(Counter::Requests);
        let mut answer = Answer {
            in_flight: InFlight::new(worker.board().clone(), Arc::clone(&self.connection)),
            access: Access::begin(worker, &request, &self.connection),
            asked: None,
            edge: Arc::clone(&self.edge),
            connection: Arc::clone(&self.connection),
            protocol: self.protocol,
        };
        if let Some(refused) = host_problem(&request).or_else(|| framing_problem(&request)) {
            return Answering::Known(Some(answer.short(Err(refused))));
        }
        let is_watched = self.edge.routes.is_some();
        let probe = Probe::at(request.uri().path());
        match probe.map(|probe| (probe, probe.answer_now(request.method(), worker))) {
            Some((probe, Some(known))) => {
                answer.asked = is_watched.then(|| Asked::probe(&request, probe.path()));
                Answering::Known(Some(answer.short(known)))
            }
            Some((probe, None)) => Answering::Asked(Box::pin(async move {
                answer.asked = is_watched.then(|| Asked::slow_probe(&request, probe.path()));
                let word = health::ask(&answer.edge.worker).await;
                answer.short(word)
            })),
            None => Answering::Asked(Box::pin(async move {
                answer.asked = is_watched.then(|| Asked::ticketed(&mut request));
                answer.in_flight.note(request.method(), request.uri().path());
                let router = answer.edge.router_for(request.uri().path());
                let routed = limits::route(router, request, &answer.edge.worker).await;
                answer.give(routed.map(AnswerContent::Routed))
            })),
        }
    }
}

/// An answer in the making, and everything that ends with it.
struct Answer {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    protocol: Protocol,
    in_flight: InFlight,
    access: Option<Access>,
    /// How it was asked, when answers are counted by route.
    asked: Option<Asked>,
}

impl Answer {
    /// The edge's own words.
    fn short(self, words: Result<Response<Bytes>, Problem>) -> Response<AnswerBody> {
        match words {
            Ok(response) => self.give(response.map(AnswerContent::Short)),
            Err(problem) => self.give(problem.into_response().map(AnswerContent::Routed)),
        }
    }

    fn give(self, response: Response<AnswerContent>) -> Response<AnswerBody> {
        let worker = &self.edge.worker;
        worker
            .board()
            .counters()
            .add(Counter::of_status(response.status().as_u16()));
        if let (Some(asked), Some(routes)) = (self.asked, &self.edge.routes) {
            routes.count(&asked, response.status());
        }
        if let Some(access) = self.access {
            access.end(response.status());
        }
        let mut response = response.map(|content| AnswerBody::new(content, self.in_flight, self.protocol));
        // The last of pipelined requests says so. HTTP/2 has no such header: the connection sends GOAWAY.
        if worker.is_draining()
            && self.protocol == Protocol::Http1
            && !self.connection.state().has_more_requests()
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.connection.on(ConnectionEvent::AnswerBegun);
        response
    }
}

/// The way to an answer: known at once without a box or a timer, or not.
pub(in crate::worker) enum Answering {
    Known(Option<Response<AnswerBody>>),
    Asked(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answering::Known(answer) => {
                Poll::Ready(Ok(answer.take().expect("a future is not polled after its end")))
            }
            Answering::Asked(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}
