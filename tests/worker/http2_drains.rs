//! The drain of HTTP/2 connections: GOAWAY, and nothing that was accepted is lost.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use nix::sys::signal::Signal;
use tokio::task::JoinSet;

use crate::http2::{Client, answer, connect, drained, in_runtime, request};
use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "http2_drains_under_load_without_a_failed_request",
        http2_drains_under_load_without_a_failed_request,
    ),
    (
        "http2_drains_what_waits_in_the_queue",
        http2_drains_what_waits_in_the_queue,
    ),
    (
        "a_silent_http2_client_does_not_hold_a_drain_up",
        a_silent_http2_client_does_not_hold_a_drain_up,
    ),
    (
        "an_http2_client_that_does_not_answer_is_let_go_when_silence_is_over",
        an_http2_client_that_does_not_answer_is_let_go_when_silence_is_over,
    ),
];

/// Sends one request after the other until the server says that it goes. A request that was sent and not
/// answered panics.
async fn load(mut client: Client, answered: Rc<Cell<usize>>) {
    loop {
        // GOAWAY came: nothing was sent, and a real client goes elsewhere.
        if client.ready().await.is_err() {
            return;
        }
        match client.try_send_request(request("POST", "/echo", "abc")).await {
            Ok(response) => {
                assert_eq!(response.status(), 200);
                let body = response.into_body().collect().await.expect("a whole body");
                assert_eq!(&body.to_bytes()[..], b"abc");
                answered.set(answered.get() + 1);
            }
            Err(unsent) if unsent.message().is_some() => return,
            // It came after the last stream the server named, and may be sent again as safely (RFC 9113,
            // 6.8).
            Err(error) if is_unprocessed(error.error()) => return,
            Err(error) => panic!("a request was lost: {:?}", error.error()),
        }
    }
}

fn is_unprocessed(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| format!("{source:?}").contains("NO_ERROR, Remote"))
}

/// Longer than any test waits: a drain that ends before it did not wait for it.
fn without_limit(settings: &mut cluster::config::Settings) {
    settings.cluster.drain_timeout = Duration::from_secs(3600);
}

fn http2_drains_under_load_without_a_failed_request() {
    for _ in 0..5 {
        let mut worker = Worker::ready(without_limit);
        let answered = in_runtime(async {
            let answered = Rc::new(Cell::new(0));
            let mut clients = JoinSet::new();
            for _ in 0..4 {
                let client = connect(worker.address).await;
                for _ in 0..8 {
                    clients.spawn_local(load(client.clone(), Rc::clone(&answered)));
                }
            }
            while answered.get() < 500 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            worker.signal(Signal::SIGTERM);
            while let Some(client) = clients.join_next().await {
                client.expect("no request is lost");
            }
            answered.get()
        });
        drained(&mut worker);
        let taken = worker.vitals().counts.requests;
        assert_eq!(taken, answered as u64, "what was taken was answered");
    }
}

fn http2_drains_what_waits_in_the_queue() {
    let mut worker = Worker::ready(|_| {});
    worker.signal(Signal::SIGSTOP);
    in_runtime(async {
        let mut waiting = JoinSet::new();
        for _ in 0..20 {
            let mut client = connect(worker.address).await;
            waiting.spawn_local(async move { answer(&mut client, request("GET", "/slow?ms=50", "")).await });
        }
        tokio::task::yield_now().await;
        worker.signal(Signal::SIGTERM);
        worker.signal(Signal::SIGCONT);
        while let Some(done) = waiting.join_next().await {
            assert_eq!(done.expect("answered").0, 200);
        }
    });
    drained(&mut worker);
}

fn a_silent_http2_client_does_not_hold_a_drain_up() {
    let mut worker = Worker::ready(without_limit);
    in_runtime(async {
        let mut idle = connect(worker.address).await;
        answer(&mut idle, request("GET", "/", "")).await;
        let mut busy = connect(worker.address).await;
        let running =
            tokio::task::spawn_local(
                async move { answer(&mut busy, request("GET", "/slow?ms=300", "")).await },
            );
        while worker.vitals().counts.in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        worker.signal(Signal::SIGTERM);
        assert_eq!(running.await.expect("no panic").0, 200);
        while !idle.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    drained(&mut worker);
}

fn an_http2_client_that_does_not_answer_is_let_go_when_silence_is_over() {
    let mut worker = Worker::ready(|settings| settings.cluster.drain_timeout = Duration::from_millis(1000));
    let mut mute = TcpStream::connect(worker.address).expect("connected");
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("written");
    worker.until("it is there", |vitals| vitals.counts.connections == 1);
    worker.drain();
    drained(&mut worker);
    let mut frames = Vec::new();
    mute.read_to_end(&mut frames).expect("no reset");
    assert!(frames.len() > 9);
}
