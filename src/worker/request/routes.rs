//! Counts answers by route. The router records the template that matched beside the request, where the edge
//! finds it, so that a time-out or a panic is counted with its route, too. It must not know what reads the
//! numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::MatchedPath;
use http::{Method, Request, StatusCode};
use tower::{Layer, Service};

use crate::scoreboard::layout::{ROUTES, route};
use crate::scoreboard::{Board, METHODS, method_index};

/// The index of all answers that are not counted apart: no route matched, the route does not have the method,
/// or there is no room for another route.
const OTHER: usize = 0;

/// Counts the answers of this worker by route.
pub(in crate::worker) struct RouteCounter {
    board: Board,
    known: Mutex<RouteTable>,
}

#[derive(Default)]
struct RouteTable {
    /// For each template the index of each method; [`OTHER`] where there is none yet.
    indices: HashMap<Box<str>, [u8; METHODS.len()]>,
    /// The number of entries that have a name, without that of [`OTHER`].
    named: usize,
}

impl RouteCounter {
    pub(in crate::worker) fn new(board: Board) -> RouteCounter {
        RouteCounter {
            board,
            known: Mutex::default(),
        }
    }

    /// Counts an answer.
    pub(in crate::worker) fn count(&self, request: &CountedRequest, status: StatusCode) {
        // A client may try every method on every path; only methods that a route has get an entry.
        let template = request
            .template()
            .filter(|_| status != StatusCode::METHOD_NOT_ALLOWED);
        let index = template.map_or(OTHER, |template| self.index(&request.method, template));
        let took = request.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        self.board.count_answer(index, status.as_u16(), Some(took));
    }

    /// Counts the answer to bytes that were no request.
    pub(in crate::worker) fn count_refusal(&self, status: StatusCode) {
        self.board.count_answer(OTHER, status.as_u16(), None);
    }

    fn index(&self, method: &Method, template: &str) -> usize {
        let method = method_index(method.as_str());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(indices) = known.indices.get(template)
            && indices[method] != 0
        {
            return usize::from(indices[method]);
        }
        known.admit(&self.board, method, template)
    }
}

impl RouteTable {
    fn admit(&mut self, board: &Board, method: usize, template: &str) -> usize {
        let next = self.named + 1;
        let (Ok(byte), true) = (
            u8::try_from(next),
            next < ROUTES && template.len() <= route::PATH_BYTES,
        ) else {
            return OTHER;
        };
        self.named = next;
        board.name_route(next, method, template);
        self.indices.entry(template.into()).or_default()[method] = byte;
        next
    }
}

/// A request whose answer will be counted.
pub(in crate::worker) struct CountedRequest {
    method: Method,
    /// When the request was taken; unknown when it is answered at once.
    begun: Option<Instant>,
    answered_by: AnsweredBy,
}

/// Which part of the worker answers a request.
enum AnsweredBy {
    /// The edge itself, at this path.
    Edge(&'static str),
    /// The router, which records the route that matched.
    Router(RecordedRoute),
    /// A gRPC service: the path names the method.
    #[cfg(feature = "grpc")]
    Service(Box<str>),
}

/// Travels with a request, and holds its route once the router knows it.
#[derive(Clone, Default)]
struct RecordedRoute(Arc<OnceLock<MatchedPath>>);

impl CountedRequest {
    /// A probe that the edge answers at once.
    pub(in crate::worker) fn probe<B>(request: &Request<B>, path: &'static str) -> CountedRequest {
        let (method, answered_by) = (request.method().clone(), AnsweredBy::Edge(path));
        CountedRequest {
            method,
            begun: None,
            answered_by,
        }
    }

    /// A probe that the edge answers later.
    pub(in crate::worker) fn slow_probe<B>(request: &Request<B>, path: &'static str) -> CountedRequest {
        CountedRequest {
            begun: Some(Instant::now()),
            ..CountedRequest::probe(request, path)
        }
    }

    /// A call of a gRPC service.
    #[cfg(feature = "grpc")]
    pub(in crate::worker) fn called<B>(request: &Request<B>) -> CountedRequest {
        CountedRequest {
            method: request.method().clone(),
            begun: Some(Instant::now()),
            answered_by: AnsweredBy::Service(request.uri().path().into()),
        }
    }

    /// A request that the router answers. The place for its route travels with it.
    pub(in crate::worker) fn routed<B>(request: &mut Request<B>) -> CountedRequest {
        let route = RecordedRoute::default();
        request.extensions_mut().insert(route.clone());
        CountedRequest {
            method: request.method().clone(),
            begun: Some(Instant::now()),
            answered_by: AnsweredBy::Router(route),
        }
    }

    /// The template of the route, if one matched.
    fn template(&self) -> Option<&str> {
        match &self.answered_by {
            AnsweredBy::Edge(path) => Some(path),
            AnsweredBy::Router(route) => route.0.get().map(MatchedPath::as_str),
            #[cfg(feature = "grpc")]
            AnsweredBy::Service(path) => Some(path),
        }
    }
}

/// Has every route of this router recorded beside the requests that it matches.
pub(in crate::worker) fn with_recorded_routes(router: Router) -> Router {
    router.layer(RecordRouteLayer)
}

#[derive(Clone)]
struct RecordRouteLayer;

impl<S> Layer<S> for RecordRouteLayer {
    type Service = RecordRoute<S>;

    fn layer(&self, inner: S) -> RecordRoute<S> {
        RecordRoute { inner }
    }
}

#[derive(Clone)]
struct RecordRoute<S> {
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for RecordRoute<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let extensions = request.extensions();
        if let (Some(route), Some(path)) =
            (extensions.get::<RecordedRoute>(), extensions.get::<MatchedPath>())
        {
            // The innermost of nested routers records last, and the first one records the whole template.
            let _first = route.0.set(path.clone());
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use axum::body::Body;
    use axum::routing::get;

    use super::*;
    use crate::scoreboard::BoardView;

    fn routes() -> (RouteCounter, BoardView) {
        let fd = Board::create_fd("test").expect("a memfd");
        let view = BoardView::open(fd.as_fd()).expect("a board");
        (RouteCounter::new(Board::open(fd).expect("a board")), view)
    }

    fn counted(method: Method, path: &'static str) -> CountedRequest {
        CountedRequest {
            method,
            ..CountedRequest::probe(&Request::new(()), path)
        }
    }

    fn names(view: &BoardView) -> Vec<(String, u64)> {
        let seen = view.routes().into_iter().map(|seen| {
            let name = seen
                .name
                .map_or("other".to_owned(), |(method, path)| format!("{method} {path}"));
            (name, seen.counts.classes.iter().sum())
        });
        seen.collect()
    }

    #[test]
    fn each_method_of_a_route_has_its_entry_and_what_is_not_there_has_none() {
        let (routes, view) = routes();
        let long: &'static str = "/x".repeat(40).leak();
        for (method, template, status) in [
            (Method::GET, "/a", StatusCode::OK),
            (Method::POST, "/a", StatusCode::CREATED),
            (Method::GET, "/a", StatusCode::NOT_FOUND),
            (Method::DELETE, "/a", StatusCode::METHOD_NOT_ALLOWED),
            (Method::GET, long, StatusCode::OK),
        ] {
            routes.count(&counted(method, template), status);
        }
        routes.count(
            &CountedRequest::routed(&mut Request::new(())),
            StatusCode::NOT_FOUND,
        );
        routes.count_refusal(StatusCode::BAD_REQUEST);
        let expected = [("other", 4), ("GET /a", 2), ("POST /a", 1)];
        assert_eq!(names(&view), expected.map(|(name, many)| (name.to_owned(), many)));
    }

    #[test]
    fn the_table_has_an_end() {
        let (routes, view) = routes();
        for number in 0..100 {
            let template = format!("/{number}").leak();
            routes.count(&counted(Method::GET, template), StatusCode::OK);
        }
        let names = names(&view);
        assert_eq!((names.len(), names[0].1), (ROUTES, 100 - (ROUTES as u64 - 1)));
    }

    #[tokio::test]
    async fn the_router_records_the_whole_template() {
        let inner = Router::new().route("/{id}", get(async || "inner"));
        let mut router = with_recorded_routes(
            Router::new()
                .route("/", get(async || "root"))
                .nest("/orders", inner),
        );
        for (path, template) in [
            ("/", Some("/")),
            ("/orders/7", Some("/orders/{id}")),
            ("/none", None),
        ] {
            let mut request = Request::builder()
                .uri(path)
                .body(Body::empty())
                .expect("a request");
            let request_counted = CountedRequest::routed(&mut request);
            let _answer = Service::call(&mut router, request).await;
            assert_eq!(request_counted.template(), template, "{path}");
        }
    }
}
