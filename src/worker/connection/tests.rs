//! Requests that hyper cannot read. The wire recognises hyper's own answer by this: it is written while no
//! request is with the service. So each of hyper's errors is pinned twice: what hyper says and writes by
//! itself, and what our client gets.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::connections::Connections;
use super::drive::{Protocols, drive};
use crate::base::ids::{Generation, Life};
use crate::config::{ListenerRole, Settings};
use crate::scoreboard::{Board, Counter};
use crate::worker::accept::listener::Listener;
use crate::worker::request::edge::{Edge, EdgeFeatures};
use crate::worker::{Identity, Worker};

/// Larger than hyper's own limit of a request target.
const MAX_HEADER_BYTES: usize = 200_000;

fn worker() -> Worker {
    let identity = Identity {
        life: Life::of(1, 0, 1),
        generation: Generation(1),
    };
    let mut settings = Settings::default();
    settings.http.max_header_bytes = MAX_HEADER_BYTES;
    Worker::detached(identity, settings)
}

/// What hyper writes to these bytes by itself, and the error it ends with.
async fn hyper_alone(bytes: &[u8]) -> (String, String) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(
        async |_: Request<Incoming>| -> Result<Response<String>, Infallible> {
            panic!("no request can be read, so no service is asked")
        },
    );
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(MAX_HEADER_BYTES)
        .max_header_size(MAX_HEADER_BYTES);
    client.write_all(bytes).await.expect("written");
    let error = builder
        .serve_connection(TokioIo::new(server), service)
        .await
        .expect_err("an unreadable request");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("text");
    (error.to_string(), answer)
}

/// What the worker answers to these bytes, and that it counts the answer and closes.
async fn worker_answers(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("listener");
    let bound = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let listener = Listener::new(bound.into()).expect("a listener");
    let mut client = UnixStream::connect(&path).await.expect("connected");
    let stream = listener.accept().await.expect("accepted");
    let worker = worker();
    let http = &worker.settings().http;
    let connections = Arc::new(Connections::new(Board::private(), http));
    let guard = connections.register(None, ListenerRole::Public, 1).expect("room");
    let protocols = Protocols::new(http, false);
    let edge = Arc::new(Edge::new(worker.clone(), Router::new(), EdgeFeatures::default()));
    tokio::spawn(drive(protocols, stream, guard, Arc::clone(&connections), edge));
    client.write_all(bytes).await.expect("written");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("text");
    drop(client);
    connections.all_closed().await;
    let counters = worker.board().counters();
    assert_eq!(counters.value(Counter::Requests), 0, "no service was asked");
    assert_eq!(counters.value(Counter::Responses4xx), 1, "the answer is counted");
    answer
}

/// These bytes make hyper fail with `error` and write `status` by itself; the client gets a problem with
/// `code`.
async fn pinned(bytes: &str, error: &str, status: &str, code: &str) {
    let (found, bare) = hyper_alone(bytes.as_bytes()).await;
    assert_eq!(found, error);
    assert!(bare.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{bare}");
    assert!(
        bare.ends_with("\r\n\r\n"),
        "hyper's own answer has no body: {bare}"
    );
    let answer = worker_answers(bytes.as_bytes()).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    let problem: serde_json::Value = serde_json::from_str(body).expect("one problem document");
    assert_eq!(problem["code"], code, "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn an_invalid_method() {
    let head = "G@T / HTTP/1.1\r\nHost: test\r\n\r\n";
    pinned(
        head,
        "invalid HTTP method parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_invalid_version() {
    let head = "GET / HTTP/9.9\r\nHost: test\r\n\r\n";
    pinned(
        head,
        "invalid HTTP version parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_invalid_target() {
    let head = "GET http:///x[ HTTP/1.1\r\nHost: test\r\n\r\n";
    pinned(head, "invalid URI", "400 Bad Request", "bad_request").await;
}

#[tokio::test]
async fn a_target_that_is_too_long() {
    let head = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(70_000));
    pinned(&head, "URI too long", "414 URI Too Long", "uri_too_long").await;
}

#[tokio::test]
async fn an_invalid_header() {
    let head = "GET / HTTP/1.1\r\nHost : test\r\n\r\n";
    pinned(
        head,
        "invalid HTTP header parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_invalid_content_length() {
    let head = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n";
    pinned(
        head,
        "invalid content-length parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_invalid_transfer_encoding() {
    let head = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n";
    pinned(
        head,
        "invalid transfer-encoding parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn a_transfer_encoding_that_http_1_0_does_not_have() {
    let head = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    pinned(
        head,
        "unexpected transfer-encoding parsed",
        "400 Bad Request",
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn a_head_that_is_too_large() {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
        "x".repeat(MAX_HEADER_BYTES)
    );
    let status = "431 Request Header Fields Too Large";
    pinned(&head, "message head is too large", status, "headers_too_large").await;
}

/// hyper leaves it to its caller to speak HTTP/2 then, so it says nothing; the wire sees the preface first.
#[tokio::test]
async fn the_preface_of_http2_is_no_error_to_hyper_alone() {
    let (error, answer) = hyper_alone(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(error, "invalid HTTP version parsed (found HTTP2 preface)");
    assert_eq!(answer, "");
}
