//! Drains under keep-alive clients: the reload of a slot, round after round.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::agent::node::session::{NodeEnd, NodeEvent};

use crate::harness::{Launch, connect, files, listener, port, run, start};

const ROUNDS: usize = 12;
const CLIENTS: usize = 8;
const APP: &str = "
require('http').createServer((request, response) => {
  if (request.url === '/said') response.writeHead(200, { Connection: 'keep-alive', 'Content-Length': 2 });
  response.end('ok');
}).listen(Number(process.env.PORT));
";

/// What the head of an answer says about its connection.
#[derive(Debug, PartialEq)]
enum Answer {
    KeepAlive,
    Close,
    /// There was none.
    Lost(String),
}

fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> Answer {
    exchange(stream, path).unwrap_or_else(|error| Answer::Lost(error.to_string()))
}

fn exchange(stream: &mut BufReader<TcpStream>, path: &str) -> std::io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut answer = Answer::KeepAlive;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        if line.eq_ignore_ascii_case("connection: close\r\n") {
            answer = Answer::Close;
        }
        line.clear();
    }
    if line.is_empty() {
        return Ok(Answer::Lost("the end of the stream".to_owned()));
    }
    let mut body = [0; 2];
    stream.read_exact(&mut body)?;
    Ok(if &body == b"ok" {
        answer
    } else {
        Answer::Lost(format!("{body:?}"))
    })
}

#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    answered: AtomicU64,
    closed: AtomicU64,
    lost: AtomicU64,
}

/// One client that keeps its connection for as long as it may.
fn client(port: u16, tally: &Tally) {
    let mut stream = BufReader::new(connect(port));
    while !tally.stop.load(Ordering::Relaxed) {
        match ask(&mut stream, "/") {
            Answer::KeepAlive => {
                tally.answered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Answer::Close => tally.closed.fetch_add(1, Ordering::Relaxed),
            Answer::Lost(why) => {
                eprintln!("lost: {why}");
                tally.lost.fetch_add(1, Ordering::Relaxed)
            }
        };
        stream = BufReader::new(connect(port));
    }
}

async fn reload(launch: &Launch<'_>, slot: &std::net::TcpListener) {
    let mut program = start(launch, slot);
    program.until_it_listens().await;
    for _ in 0..ROUNDS {
        let mut next = start(launch, slot);
        next.until_it_listens().await;
        program.channel.disconnect(Duration::from_secs(20));
        let ended = program.until(|event| matches!(event, NodeEvent::End(_))).await;
        assert_eq!(ended, NodeEvent::End(NodeEnd::Disconnected));
        program = next;
    }
    // The last one serves until all clients have stopped.
    std::mem::forget(program.child.stderr.take());
    LAST.with(|last| last.replace(Some(program)));
}

thread_local! {
    static LAST: std::cell::RefCell<Option<crate::harness::Program>> = const { std::cell::RefCell::new(None) };
}

pub(crate) fn keep_alive() {
    let folder = files(&[("app.js", APP)]);
    let (slot, tally) = (listener(), Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(port(&slot), &tally));
        }
        let reloaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(reload(&Launch::new(&folder, &["node", "app.js"]), &slot));
        }));
        tally.stop.store(true, Ordering::Relaxed);
        reloaded.expect("all rounds");
    });
    LAST.with(|last| drop(last.take()));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} answered, {} told to close",
        count(&tally.answered),
        count(&tally.closed)
    );
    assert_eq!(count(&tally.lost), 0, "requests were lost");
    assert!(
        count(&tally.closed) >= u64::try_from(ROUNDS).expect("few"),
        "no drain was noticed"
    );
}

pub(crate) fn idle_connection() {
    let folder = files(&[("app.js", APP)]);
    run(async {
        let slot = listener();
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &slot);
        program.until_it_listens().await;
        let mut idle = BufReader::new(connect(port(&slot)));
        assert_eq!(ask(&mut idle, "/"), Answer::KeepAlive);
        program.channel.disconnect(Duration::from_millis(300));
        program.until(|event| matches!(event, NodeEvent::End(_))).await;
        assert_eq!(idle.read(&mut [0]).expect("closed in order"), 0);
    });
}

pub(crate) fn explicit_keep_alive() {
    let folder = files(&[("app.js", APP)]);
    run(async {
        let slot = listener();
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &slot);
        program.until_it_listens().await;
        let mut stream = BufReader::new(connect(port(&slot)));
        assert_eq!(ask(&mut stream, "/said"), Answer::KeepAlive);
        program.channel.disconnect(Duration::from_secs(20));
        program.until(|event| matches!(event, NodeEvent::Closed(_))).await;
        assert_eq!(ask(&mut stream, "/said"), Answer::Close);
        program.until(|event| matches!(event, NodeEvent::End(_))).await;
    });
}
