//! The chat of `examples/chat.rs` in a cluster that is reloaded: with a client of our own, and with those of
//! Node and Python. Without libtest, because the same program is master and worker, too.

#[path = "../../examples/chat.rs"]
mod chat;
#[path = "../common/mod.rs"]
mod common;
mod foreign;
#[path = "../runner/mod.rs"]
mod runner;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use common::{Cli, Cluster, Plan, Scrape, TIMEOUT, admin};
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use runner::Test;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const TESTS: &[Test] = &[
    (
        "a_websocket_and_a_stream_are_counted_and_end_with_a_reload",
        a_websocket_and_a_stream_are_counted_and_end_with_a_reload,
    ),
    (
        "a_websocket_whose_client_says_nothing_is_cut_at_the_deadline",
        a_websocket_whose_client_says_nothing_is_cut_at_the_deadline,
    ),
];

fn main() -> ExitCode {
    let is_a_cluster = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "serve");
    if is_a_cluster || cluster::worker::is_asked_for() {
        return chat::main();
    }
    runner::main(&[TESTS, foreign::TESTS].concat(), &[])
}

/// A chat of one worker.
fn started(more: &str) -> Cluster {
    let program = std::env::current_exe().expect("this program");
    let config = format!("[cluster]\nworkers = 1\nbind = [\"127.0.0.1:0\"]\nbake_time = \"50ms\"\n{more}");
    let plan = Plan::shop().program(&program).config(&config);
    plan.arguments(&["--admin", "127.0.0.1:0"]).start()
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(TIMEOUT, future).await.expect("in time") })
}

type Socket = WebSocketStream<tokio::net::TcpStream>;

async fn joined(cluster: &Cluster) -> Socket {
    let address = cluster.address();
    let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let url = format!("ws://{address}/ws");
    tokio_tungstenite::client_async(url, stream)
        .await
        .expect("switched")
        .0
}

/// The worker's upgraded connections and streams, by `status --json`.
fn counted(cluster: &Cluster) -> (u64, u64) {
    let status = cluster.run_json(&["status"]);
    let worker = &status["slots"][0]["worker"];
    let number = |name: &str| worker[name].as_u64().expect("a number");
    (number("upgraded"), number("streams"))
}

fn a_websocket_and_a_stream_are_counted_and_end_with_a_reload() {
    let cluster = started("");
    let stream = TcpStream::connect(cluster.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    (&stream)
        .write_all(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("written");
    let mut events = BufReader::new(stream).lines().map(|line| line.expect("no reset"));
    assert_eq!(events.next().expect("a head"), "HTTP/1.1 200 OK");
    assert!(events.any(|line| line == "retry: 500"), "the stream has begun");
    in_runtime(async {
        let (mut one, mut other) = (joined(&cluster).await, joined(&cluster).await);
        one.send(Message::text("hello")).await.expect("sent");
        for socket in [&mut one, &mut other] {
            let heard = socket.next().await.expect("a message").expect("no error");
            assert_eq!(heard, Message::text("hello"));
        }
        assert!(
            events.any(|line| line == "data: hello"),
            "it is in the stream, too"
        );
        assert_eq!(counted(&cluster), (2, 1));
        let scraped = Scrape::of(admin(&cluster));
        let metrics = ["cluster_connections_upgraded", "cluster_http_streams_open"];
        assert_eq!(metrics.map(|name| scraped.value(name)), [2.0, 1.0]);
        let told = cluster.run(&["status"]).stdout;
        let line = "held open: 2 upgraded connections (slot 0: 2), 1 streams (slot 0: 1)";
        assert!(told.contains(line), "{told}");

        let mark = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        for mut socket in [one, other] {
            let Some(Ok(Message::Close(Some(close)))) = socket.next().await else {
                panic!("no close");
            };
            assert_eq!(u16::from(close.code), 1001, "{close:?}");
            assert!(socket.next().await.is_none(), "the connection is closed well");
        }
        assert!(events.any(|line| line == "0"), "the stream ends as HTTP says it");
        // The connection could carry one more request, and the drain would wait for it.
        drop(events);
        cluster.wait_from(mark, "reload done");
    });
    assert_eq!(counted(&cluster), (0, 0));
}

fn a_websocket_whose_client_says_nothing_is_cut_at_the_deadline() {
    let cluster = started("drain_timeout = \"2s\"\n");
    in_runtime(async {
        let silent = joined(&cluster).await;
        let mark = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        // It neither reads the close nor answers it.
        tokio::task::spawn_blocking(move || {
            let cut = cluster.wait_from(mark, "connections are cut");
            assert_eq!((&cut["cut"], &cut["upgraded"]), (&1.into(), &1.into()), "{cut}");
            let took = Duration::from_millis(cut["took_ms"].as_u64().expect("a time"));
            assert!(took >= Duration::from_secs(1), "it had its time: {took:?}");
            cluster
        })
        .await
        .expect("cut");
        drop(silent);
    });
}
