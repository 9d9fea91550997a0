//! Which answer belongs to which route: the router's own word (the template that matched), carried to the edge beside the
//! request, so that a time-out or a panic has its route, too. It must not know who reads the numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::MatchedPath;
use http::{Method, Request, StatusCode};
use tower::{Layer, Service};

use crate::scoreboard::layout::{ROUTES, route};
use crate::scoreboard::{Board, METHODS, method_place};

/// The entry of everything that is not counted apart: what no route matched, a method that a route does not have, and whatever
/// found no room.
const OTHER: usize = 0;

/// The routes of this worker.
pub(in crate::worker) struct Routes {
    board: Board,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// For each template the entry of each method; [`OTHER`] where there is none yet.
    places: HashMap<Box<str>, [u8; METHODS.len()]>,
    /// As many entries are named, that of [`OTHER`] not counted.
    named: usize,
}

impl Routes {
    pub(in crate::worker) fn new(board: Board) -> Routes {
        Routes {
            board,
            known: Mutex::default(),
        }
    }

    /// Counts an answer.
    pub(in crate::worker) fn count(&self, asked: &Asked, status: StatusCode) {
        // A client may try every method on every path; only what is really there gets a place.
        let template = asked
            .template()
            .filter(|_| status != StatusCode::METHOD_NOT_ALLOWED);
        let place = template.map_or(OTHER, |template| self.place(&asked.method, template));
        let took = asked.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        self.board.count_answer(place, status.as_u16(), Some(took));
    }

    /// Counts the answer to what was no request at all.
    pub(in crate::worker) fn count_refusal(&self, status: StatusCode) {
        self.board.count_answer(OTHER, status.as_u16(), None);
    }

    fn place(&self, method: &Method, template: &str) -> usize {
        let method = method_place(method.as_str());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.places.get(template)
            && places[method] != 0
        {
            return usize::from(places[method]);
        }
        known.admit(&self.board, method, template)
    }
}

impl Known {
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
        self.places.entry(template.into()).or_default()[method] = byte;
        next
    }
}

/// A request that will be answered.
pub(in crate::worker) struct Asked {
    method: Method,
    /// Unknown where the answer is: at once.
    begun: Option<Instant>,
    way: Way,
}

/// Who answers.
enum Way {
    /// The edge itself, at this path.
    Edge(&'static str),
    /// The router, which will say on the ticket by which route.
    Router(Ticket),
}

/// Travels with a request, and holds its route once the router knows it.
#[derive(Clone, Default)]
struct Ticket(Arc<OnceLock<MatchedPath>>);

impl Asked {
    /// One that the edge answers at once.
    pub(in crate::worker) fn probe<B>(request: &Request<B>, path: &'static str) -> Asked {
        let (method, way) = (request.method().clone(), Way::Edge(path));
        Asked {
            method,
            begun: None,
            way,
        }
    }

    /// One that the edge answers when it knows.
    pub(in crate::worker) fn slow_probe<B>(request: &Request<B>, path: &'static str) -> Asked {
        Asked {
            begun: Some(Instant::now()),
            ..Asked::probe(request, path)
        }
    }

    /// One that the router answers; it takes its ticket along.
    pub(in crate::worker) fn ticketed<B>(request: &mut Request<B>) -> Asked {
        let ticket = Ticket::default();
        request.extensions_mut().insert(ticket.clone());
        Asked {
            method: request.method().clone(),
            begun: Some(Instant::now()),
            way: Way::Router(ticket),
        }
    }

    /// The template of the route, if one matched.
    fn template(&self) -> Option<&str> {
        match &self.way {
            Way::Edge(path) => Some(path),
            Way::Router(ticket) => ticket.0.get().map(MatchedPath::as_str),
        }
    }
}

/// Has every route of this router write itself on the request's ticket.
pub(in crate::worker) fn ticketed(router: Router) -> Router {
    router.layer(Stamp)
}

#[derive(Clone)]
struct Stamp;

impl<S> Layer<S> for Stamp {
    type Service = Stamping<S>;

    fn layer(&self, inner: S) -> Stamping<S> {
        Stamping { inner }
    }
}

#[derive(Clone)]
struct Stamping<S> {
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Stamping<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let extensions = request.extensions();
        if let (Some(ticket), Some(path)) = (extensions.get::<Ticket>(), extensions.get::<MatchedPath>()) {
            // Of nested routers the innermost speaks last, and the first word is the whole template.
            let _first = ticket.0.set(path.clone());
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

    fn routes() -> (Routes, BoardView) {
        let fd = Board::create_fd("test").expect("a memfd");
        let view = BoardView::open(fd.as_fd()).expect("a board");
        (Routes::new(Board::open(fd).expect("a board")), view)
    }

    fn asked(method: Method, path: &'static str) -> Asked {
        Asked {
            method,
            ..Asked::probe(&Request::new(()), path)
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
            routes.count(&asked(method, template), status);
        }
        routes.count(&Asked::ticketed(&mut Request::new(())), StatusCode::NOT_FOUND);
        routes.count_refusal(StatusCode::BAD_REQUEST);
        let expected = [("other", 4), ("GET /a", 2), ("POST /a", 1)];
        assert_eq!(names(&view), expected.map(|(name, many)| (name.to_owned(), many)));
    }

    #[test]
    fn the_table_has_an_end() {
        let (routes, view) = routes();
        for number in 0..100 {
            let template = format!("/{number}").leak();
            routes.count(&asked(Method::GET, template), StatusCode::OK);
        }
        let names = names(&view);
        assert_eq!((names.len(), names[0].1), (ROUTES, 100 - (ROUTES as u64 - 1)));
    }

    #[tokio::test]
    async fn the_router_writes_the_whole_template_on_the_ticket() {
        let inner = Router::new().route("/{id}", get(async || "inner"));
        let mut router = ticketed(
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
            let asked = Asked::ticketed(&mut request);
            let _answer = Service::call(&mut router, request).await;
            assert_eq!(asked.template(), template, "{path}");
        }
    }
}
