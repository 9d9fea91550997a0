//! Connections that have become so old that they are told to go, over HTTP/1.1 and HTTP/2.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;

use crate::client::Client;
use crate::http2::{connect, frames, in_runtime, request};
use crate::master::{TIMEOUT, Worker};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_old_connection_is_told_to_go_with_its_next_answer",
        an_old_connection_is_told_to_go_with_its_next_answer,
    ),
    (
        "an_old_http2_connection_is_told_to_go_and_what_never_ends_is_cut",
        an_old_http2_connection_is_told_to_go_and_what_never_ends_is_cut,
    ),
];

fn old_at(ms: u64) -> Worker {
    Worker::ready(move |settings| {
        settings.http.max_connection_age = Some(Duration::from_millis(ms));
        settings.http.max_connection_age_grace = Duration::from_millis(ms);
    })
}

fn an_old_connection_is_told_to_go_with_its_next_answer() {
    let worker = old_at(500);
    let mut client = Client::connect(worker.address);
    let begun = Instant::now();
    let mut answers = 0;
    loop {
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        answers += 1;
        if answer.closes() {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "it is never told to go");
    }
    assert!(answers > 1, "it was told at once");
    assert_eq!(client.rest().expect("no reset"), "");
}

fn an_old_http2_connection_is_told_to_go_and_what_never_ends_is_cut() {
    let worker = old_at(300);
    let mut idle = TcpStream::connect(worker.address).expect("connected");
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("written");
    let types = frames(&mut idle);
    let goaways = types.iter().filter(|&&frame| frame == 7).count();
    assert_eq!(goaways, 2, "{types:?}");
    in_runtime(async {
        let mut client = connect(worker.address).await;
        let short = client
            .send_request(request("GET", "/", ""))
            .await
            .expect("an answer");
        assert_eq!(short.status(), 200);
        let long = client.send_request(request("GET", "/drip?ms=600000", "")).await;
        let cut = long.expect("an answer").into_body().collect().await;
        assert!(cut.is_err(), "it is not whole, and that is said");
    });
    worker.until("they are gone", |vitals| vitals.counts.connections == 0);
}
