//! The application the tests put into a worker.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use cluster::http::fallbacks;
use cluster::{App, Worker};
use http::header;
use hyper::body::{self as http_body, Frame};
use serde::Deserialize;

/// The section `[test]` of the configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    boot_error: Option<String>,
    descriptors: Option<u64>,
    not_ready: Option<String>,
    never_says: bool,
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

pub(crate) fn app() -> App {
    App::new("test")
        .boot(boot)
        .on_exit(|| async { tracing::info!("the exit hook ran") })
}

async fn boot(worker: Worker) -> Result<Router, cluster::worker::BootError> {
    let section: Section = worker.section("test")?;
    if let Some(error) = section.boot_error {
        return Err(error.into());
    }
    if let Some(most) = section.descriptors {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    }
    if let Some(reason) = section.not_ready {
        worker.readiness(move || std::future::ready(Err(reason.clone())));
    }
    if section.never_says {
        worker.readiness(std::future::pending);
    }
    worker.on_takeover(|work| async move { tracing::info!(?work, "taken over") });
    let echoes = worker.counter("test_echoes_total", "Bodies echoed.")?;
    let me = worker.identity().life.to_string();
    let poisoned = worker.clone();
    Ok(fallbacks(
        Router::new()
            .route("/", get(async move || me.clone()))
            .route(
                "/echo",
                post(async move |body: Bytes| {
                    echoes.add(1);
                    body
                }),
            )
            .route("/slow", get(slow))
            .route("/wide", get(wide))
            .route("/drip", get(drip))
            .route("/panic", get(panics))
            .route("/print", get(async || println!("a handler prints")))
            .route("/upgrade", any(upgrade))
            .route("/early", get(async || http::StatusCode::EARLY_HINTS))
            .route("/poison", get(async move || poisoned.fail("a test"))),
    ))
}

async fn slow(Query(slow): Query<Slow>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(slow.ms)).await;
    "at last"
}

#[derive(Deserialize)]
struct Wide {
    mib: usize,
}

/// So much in pieces of 64 KiB.
async fn wide(Query(wide): Query<Wide>) -> Body {
    let piece = Bytes::from(vec![b'w'; 64 * 1024]);
    Body::new(Pieces {
        left: wide.mib * 16,
        piece,
    })
}

struct Pieces {
    left: usize,
    piece: Bytes,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

/// An answer whose only word comes late.
async fn drip(Query(slow): Query<Slow>) -> Body {
    Body::new(Late(Some(Box::pin(tokio::time::sleep(Duration::from_millis(
        slow.ms,
    ))))))
}

struct Late(Option<Pin<Box<tokio::time::Sleep>>>);

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(sleep) = &mut self.0 else {
            return Poll::Ready(None);
        };
        ready!(sleep.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"drop")))))
    }
}

/// As a handler of WebSockets does it.
async fn upgrade(request: Request) -> impl IntoResponse {
    tokio::spawn(async {
        let upgraded = hyper::upgrade::on(request).await;
        tracing::info!(error = ?upgraded.err(), "the upgrade has ended");
    });
    let headers = [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")];
    (http::StatusCode::SWITCHING_PROTOCOLS, headers)
}

async fn panics() {
    panic!("a secret of the inside");
}
