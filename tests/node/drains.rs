//! Drains under keep-alive clients: the reload of a slot, round after round.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::agent::node::session::{NodeEnd, NodeEvent};

use crate::harness::{Launch, Program, connect, files, listener, port, run, start};

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

/// Stops the clients also when a round fails, so that the test ends.
struct StopClients<'a>(&'a Tally);

impl Drop for StopClients<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
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

/// Replaces the program round after round, and returns the last one, which serves.
async fn reload(launch: &Launch<'_>, slot: &TcpListener) -> Program {
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
    program
}

pub(crate) fn keep_alive() {
    let folder = files(&[("app.js", APP)]);
    let (slot, tally) = (listener(), Tally::default());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| client(port(&slot), &tally)))
            .collect();
        run(async {
            let stop = StopClients(&tally);
            let _last = reload(&Launch::new(&folder, &["node", "app.js"]), &slot).await;
            drop(stop);
            for client in clients {
                client.join().expect("ended");
            }
        });
    });
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
