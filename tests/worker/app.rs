//! The application the tests put into a worker.

use std::path::PathBuf;
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
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The section `[test]` of the configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    boot_error: Option<String>,
    descriptors: Option<u64>,
    not_ready: Option<String>,
    never_says: bool,
    /// The boot waits until there is a file, and fails with what is in it.
    waits_for: Option<PathBuf>,
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
    if let Some(file) = section.waits_for {
        while !file.exists() {
            worker.boot_waits_for("the file is not there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let error = std::fs::read_to_string(file)?;
        if !error.is_empty() {
            return Err(error.into());
        }
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
    let (poisoned, me_too) = (worker.clone(), worker.clone());
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
            .route(
                "/upgrade",
                any(async move |query, request| upgrade(me_too.clone(), query, request).await),
            )
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

/// As a handler of WebSockets does it, with a protocol that says everything twice.
async fn upgrade(worker: Worker, Query(kind): Query<Upgrade>, request: Request) -> impl IntoResponse {
    let served = async move {
        let upgraded = hyper::upgrade::on(request).await.expect("upgraded");
        let stream = TokioIo::new(upgraded);
        // A client that goes away is no fault of this handler.
        let _ended = match kind {
            Upgrade { floods: true, .. } => flood(stream).await,
            Upgrade { bursts: true, .. } => burst(stream).await,
            Upgrade { is_polite, .. } => echo(stream, is_polite.then_some(worker)).await,
        };
        tracing::info!("the upgraded connection has ended");
    };
    if kind.on_a_thread {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        std::thread::spawn(move || runtime.expect("a runtime").block_on(served));
    } else {
        tokio::spawn(served);
    }
    let headers = [(header::UPGRADE, "echo"), (header::CONNECTION, "upgrade")];
    (http::StatusCode::SWITCHING_PROTOCOLS, headers)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Upgrade {
    /// It ends with the drain, and says so.
    is_polite: bool,
    /// It writes as long as it can.
    floods: bool,
    /// It writes until the kernel takes no more, gives that up, and echoes.
    bursts: bool,
    on_a_thread: bool,
}

async fn echo(mut stream: TokioIo<Upgraded>, polite: Option<Worker>) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let draining = async {
            match &polite {
                Some(worker) => worker.draining().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = stream.read(&mut bytes) => match read? {
                0 => return Ok(()),
                many => stream.write_all(&bytes[..many]).await?,
            },
            () = draining => return stream.write_all(b"going away").await,
        }
    }
}

async fn burst(mut stream: TokioIo<Upgraded>) -> std::io::Result<()> {
    std::future::poll_fn(|cx| {
        loop {
            match Pin::new(&mut stream).poll_write(cx, &[b'f'; 4096]) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    })
    .await?;
    echo(stream, None).await
}

async fn flood(mut stream: TokioIo<Upgraded>) -> std::io::Result<()> {
    loop {
        stream.write_all(&[b'f'; 4096]).await?;
    }
}

async fn panics() {
    panic!("a secret of the inside");
}
