//! What a WebSocket costs, and what becomes of it at a reload: `cargo bench --bench websockets [-- --many 1000]`.
//! Starts the chat of `examples/chat.rs` with one worker, opens the WebSockets, prints the worker's memory for
//! each, reloads, and prints how each was closed and when. Then some clients that never answer the close are cut
//! at the deadline. Leaves no process behind.

#[path = "../../examples/chat.rs"]
mod chat;
#[path = "../../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{Cluster, Plan, TIMEOUT};
use futures_util::{SinkExt, StreamExt};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// So many clients never answer the close.
const SILENT: usize = 10;

type Socket = WebSocketStream<tokio::net::TcpStream>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if words.first().is_some_and(|word| word == "serve") || cluster::worker::is_asked_for() {
        return chat::main();
    }
    let many = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(1000),
        ["--many", number] => number.parse().ok().filter(|many| (1..=20_000).contains(many)),
        _ => None,
    };
    let Some(many) = many else {
        eprintln!("websockets: unknown flags {words:?} (expected --many N, with N from 1 to 20000)");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    let wanted = (many as u64 + 200).max(soft).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).expect("the limit of open files is raised");
    runtime.block_on(async {
        costs(many).await;
        are_cut().await;
    });
    ExitCode::SUCCESS
}

fn started(more: &str) -> Cluster {
    let program = std::env::current_exe().expect("this program");
    let config = format!("[cluster]\nworkers = 1\nbind = [\"127.0.0.1:0\"]\nbake_time = \"50ms\"\n{more}");
    Plan::shop().program(&program).config(&config).start()
}

async fn joined(cluster: &Cluster) -> Socket {
    let address = cluster.address();
    let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let url = format!("ws://{address}/ws");
    let mut socket = tokio_tungstenite::client_async(url, stream)
        .await
        .expect("switched")
        .0;
    // The handler is at work when its pong is there.
    socket.send(Message::Ping(Vec::new().into())).await.expect("sent");
    socket.next().await.expect("an answer").expect("a pong");
    socket
}

/// The worker's share of memory, in KiB.
fn pss_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}

async fn costs(many: usize) {
    let cluster = started("");
    let pid = cluster.worker(0);
    // What the first connections cost is not theirs alone.
    drop(joined(&cluster).await);
    let before = pss_kib(pid);
    let mut sockets = Vec::new();
    for _ in 0..many {
        sockets.push(joined(&cluster).await);
    }
    let after = pss_kib(pid);
    let each = (after as f64 - before as f64) / many as f64;
    println!(
        "{many} WebSockets: the worker has {before} KiB without and {after} KiB with them: {each:.1} KiB each"
    );

    let begun = Instant::now();
    let mark = cluster.mark();
    let mut closing = JoinSet::new();
    for socket in sockets {
        closing.spawn(tokio::time::timeout(TIMEOUT, end(socket)));
    }
    cluster.signal(Signal::SIGHUP);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(end) = closing.join_next().await {
        let end = end
            .expect("no panic")
            .unwrap_or_else(|_| "not told in time".to_owned());
        *ends.entry(end).or_default() += 1;
    }
    let told = begun.elapsed();
    cluster.wait_from(mark, "reload done");
    for (end, many) in &ends {
        println!("reload: {many} {end}");
    }
    println!("reload: the last one was closed after {} ms", told.as_millis());
}

/// How it was closed.
async fn end(mut socket: Socket) -> String {
    let mut how = "closed without a word".to_owned();
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Close(Some(close))) => how = format!("closed with {}", u16::from(close.code)),
            Ok(_) => {}
            Err(error) => return format!("{how}, then {error}"),
        }
    }
    how
}

async fn are_cut() {
    let cluster = started("drain_timeout = \"3s\"\n");
    let mut sockets = Vec::new();
    for _ in 0..SILENT {
        sockets.push(joined(&cluster).await);
    }
    let mark = cluster.mark();
    cluster.signal(Signal::SIGHUP);
    let cut = cluster.wait_from(mark, "connections are cut");
    println!(
        "reload with {SILENT} clients that never answer the close, drain_timeout 3 s: {} cut after {}",
        cut["cut"],
        cut["took_ms"]
            .as_u64()
            .map_or_else(String::new, |ms| format!("{:?}", Duration::from_millis(ms)))
    );
    drop(sockets);
}
