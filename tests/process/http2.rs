//! HTTP/2 clients of a whole cluster: reloads and crashes of siblings under load cost them a new connection
//! and no request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::common::Plan;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use tokio::task::JoinSet;

type Client = SendRequest<Empty<Bytes>>;

async fn connect(address: SocketAddr) -> Client {
    let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let io = TokioIo::new(stream);
    let (client, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    client
}

/// It was on its way when the last GOAWAY was sent, which names it as not taken (the client lets its PONG
/// overtake what it has not written yet): it may be sent again (RFC 9113, 6.8). `tests/worker/http2.rs`
/// proves that it was not taken.
fn is_unprocessed(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| format!("{source:?}").contains("NO_ERROR, Remote"))
}

/// Requests one after the other until it is told to stop; connects anew when the server has said GOAWAY, as
/// every client does. How many were answered; one that was sent and not answered panics.
async fn load(address: SocketAddr, over: Arc<AtomicBool>) -> (usize, usize) {
    let (mut answered, mut connections) = (0, 0);
    while !over.load(Relaxed) {
        let mut client = connect(address).await;
        connections += 1;
        while !over.load(Relaxed) && client.ready().await.is_ok() {
            let request = Request::get("http://test/healthz/liveness")
                .body(Empty::new())
                .expect("a request");
            match client.try_send_request(request).await {
                Ok(response) => {
                    assert_eq!(response.status(), 200);
                    response.into_body().collect().await.expect("a whole body");
                    answered += 1;
                }
                Err(unsent) if unsent.message().is_some() || is_unprocessed(unsent.error()) => break,
                Err(error) => panic!("a request was lost: {:?}", error.error()),
            }
        }
    }
    (answered, connections)
}

#[test]
fn reloads_cost_http2_clients_a_connection_and_no_request() {
    let cluster = Plan::shop().start();
    let over = Arc::new(AtomicBool::new(false));
    let address = cluster.address();
    let flag = Arc::clone(&over);
    let clients = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut clients: JoinSet<_> = (0..16).map(|_| load(address, Arc::clone(&flag))).collect();
            let mut all = (0, 0);
            while let Some(client) = clients.join_next().await {
                let (answered, connections) = client.expect("no request is lost");
                all = (all.0 + answered, all.1 + connections);
            }
            all
        })
    });
    for _ in 0..3 {
        let mark = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        cluster.wait_from(mark, "reload done");
    }
    over.store(true, Relaxed);
    let (answered, connections) = clients.join().expect("no request is lost");
    assert!(answered > 100, "{answered}");
    assert!(connections > 16, "nobody was ever told to go elsewhere");
    assert!(cluster.stop().success());
}
