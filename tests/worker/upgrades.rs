//! Handlers that switch a connection to another protocol, and answers that go on for long: nothing that the
//! client sent is lost, both are counted, and a drain ends them.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cluster::base::exit::Exit;

use crate::client::Client;
use crate::master::{TIMEOUT, Worker};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "bytes_behind_the_request_for_an_upgrade_are_the_new_protocols",
        bytes_behind_the_request_for_an_upgrade_are_the_new_protocols,
    ),
    (
        "pipelined_answers_come_before_an_upgrade",
        pipelined_answers_come_before_an_upgrade,
    ),
    (
        "requests_behind_an_upgrade_that_was_passed_over_are_answered",
        requests_behind_an_upgrade_that_was_passed_over_are_answered,
    ),
    (
        "an_upgraded_connection_may_be_silent_and_counts_as_one",
        an_upgraded_connection_may_be_silent_and_counts_as_one,
    ),
    (
        "an_upgraded_connection_is_served_on_another_thread",
        an_upgraded_connection_is_served_on_another_thread,
    ),
    ("a_unix_socket_is_upgraded_too", a_unix_socket_is_upgraded_too),
    (
        "a_client_that_takes_nothing_loses_its_upgraded_connection",
        a_client_that_takes_nothing_loses_its_upgraded_connection,
    ),
    (
        "a_client_that_has_taken_everything_keeps_its_upgraded_connection",
        a_client_that_has_taken_everything_keeps_its_upgraded_connection,
    ),
    (
        "a_worker_that_failed_tells_its_upgraded_connections_and_cuts_them",
        a_worker_that_failed_tells_its_upgraded_connections_and_cuts_them,
    ),
    (
        "a_drain_is_told_and_the_last_word_arrives",
        a_drain_is_told_and_the_last_word_arrives,
    ),
    (
        "an_upgraded_connection_that_stays_is_cut_and_counted",
        an_upgraded_connection_that_stays_is_cut_and_counted,
    ),
    (
        "an_answer_of_unknown_length_is_counted_while_it_is_sent",
        an_answer_of_unknown_length_is_counted_while_it_is_sent,
    ),
];

fn request(query: &str) -> String {
    format!("GET /upgrade?{query} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpGrade: echo\r\n\r\n")
}

fn kind(name: &str) -> String {
    let is = |kind: &str| kind == name;
    format!(
        "is_polite={}&floods={}&bursts={}&on_a_thread={}",
        is("polite"),
        is("flood"),
        is("burst"),
        is("thread")
    )
}

/// The answer is the switch.
fn switched(client: &mut Client) {
    let answer = client.response().expect("an answer");
    assert_eq!(answer.status, 101, "{answer:?}");
    assert!(answer.head.contains("connection: upgrade"), "{answer:?}");
}

/// These bytes come next.
fn reads(stream: &mut impl Read, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).expect("bytes");
    assert!(found == expected, "{:?}", String::from_utf8_lossy(&found));
}

/// How many handlers of upgraded connections have ended.
fn ended(worker: &Worker) -> usize {
    worker.log().matches("the upgraded connection has ended").count()
}

fn echoes(client: &mut Client, bytes: &[u8]) {
    client.write(bytes);
    reads(client.stream(), bytes);
}

fn upgraded(worker: &Worker, name: &str) -> Client {
    let mut client = worker.connect();
    client.send(&request(&kind(name)));
    switched(&mut client);
    client
}

/// No part of HTTP looks at them: neither the bare line feeds nor what could be a request.
fn bytes_behind_the_request_for_an_upgrade_are_the_new_protocols() {
    let worker = Worker::ready(|_| {});
    let early: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for early in [&early[..], b"\n", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = worker.connect();
        let bytes = [request("").as_bytes(), early].concat();
        client.write(&bytes);
        switched(&mut client);
        reads(client.stream(), early);
        echoes(&mut client, b"later\n");
        worker.until("it counts", |vitals| {
            (vitals.counts.upgraded, vitals.counts.connections) == (1, 1)
        });
        client.say_no_more();
        assert_eq!(client.rest().expect("no reset"), "");
        worker.until("it is gone", |vitals| {
            (vitals.counts.upgraded, vitals.counts.connections) == (0, 0)
        });
    }
}

/// They do also when they fill the connection before the client takes them.
fn pipelined_answers_come_before_an_upgrade() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&format!("{get}{get}{}early\n", request("")));
    assert_eq!(client.response().expect("an answer").body, "7/2/3");
    assert_eq!(client.response().expect("an answer").body, "7/2/3");
    switched(&mut client);
    reads(client.stream(), b"early\n");

    let mut client = worker.connect();
    client.takes_little();
    let wide = "GET /wide?mib=9 HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&format!("{wide}{}early\n", request("")));
    // The kernel takes less than all of it, so the answer is under way until it is read.
    worker.until("the answer is under way", |vitals| {
        vitals.counts.requests == 4 && vitals.counts.in_flight == 1
    });
    assert_eq!(client.response().expect("a head").status, 200);
    // Chunks, up to the last.
    let mut tail = Vec::new();
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let mut byte = [0];
        client.stream().read_exact(&mut byte).expect("a byte");
        tail.push(byte[0]);
    }
    switched(&mut client);
    reads(client.stream(), b"early\n");
}

fn requests_behind_an_upgrade_that_was_passed_over_are_answered() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let wish = "Host: test\r\nUpgrade: h2c\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nContent-Length: 4\r\nHost: test\r\nUpgrade: h2c\r\n\r\nbody";
    client.send(&format!(
        "GET / HTTP/1.1\r\n{wish}{post}GET /slow?ms=1 HTTP/1.1\r\n{wish}GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    ));
    for expected in ["7/2/3", "body", "at last", "7/2/3"] {
        assert_eq!(client.response().expect("an answer").body, expected);
    }
    // And a line that HTTP refuses is refused behind one, too.
    client.send(&format!(
        "GET / HTTP/1.1\r\n{wish}GET / HTTP/1.1\nHost: test\r\n\r\n"
    ));
    assert_eq!(client.response().expect("an answer").status, 200);
    assert_eq!(client.response().expect("an answer").code(), "bad_request");
}

/// The time-outs of HTTP are over, and there is room for one connection less.
fn an_upgraded_connection_may_be_silent_and_counts_as_one() {
    let worker = Worker::ready(|settings| {
        settings.http.max_connections = 2;
        settings.http.idle_timeout = Duration::from_millis(1000);
        settings.http.header_read_timeout = Duration::from_millis(1000);
        settings.http.request_timeout = Duration::from_millis(1000);
        settings.http.write_timeout = Duration::from_millis(1000);
    });
    let mut silent = upgraded(&worker, "echo");
    for _ in 0..2 {
        let mut idle = worker.connect();
        assert_eq!(idle.get("/").status, 200);
        let mut refused = worker.connect();
        let answer = refused.response().expect("an answer");
        assert_eq!(answer.code(), "too_many_connections");
        assert_eq!(idle.rest().expect("no reset"), "", "HTTP has its time-outs");
        worker.until("only one is left", |vitals| vitals.counts.connections == 1);
    }
    echoes(&mut silent, b"still here");
}

fn an_upgraded_connection_is_served_on_another_thread() {
    let worker = Worker::ready(|_| {});
    let mut client = upgraded(&worker, "thread");
    let many = vec![b'm'; 300_000];
    for _ in 0..9 {
        echoes(&mut client, b"a");
    }
    client.write(&many);
    reads(client.stream(), &many);
    client.say_no_more();
    assert_eq!(client.rest().expect("no reset"), "");
    worker.until("it is gone", |vitals| vitals.counts.upgraded == 0);
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

fn a_unix_socket_is_upgraded_too() {
    let worker = Worker::ready(|_| {});
    let mut client = UnixStream::connect(worker.directory.path().join("socket")).expect("connected");
    client.set_read_timeout(Some(TIMEOUT)).expect("set");
    client.write_all(request("").as_bytes()).expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a byte");
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        String::from_utf8_lossy(&head)
    );
    client.write_all(b"\nhello").expect("written");
    reads(&mut client, b"\nhello");
}

fn a_client_that_takes_nothing_loses_its_upgraded_connection() {
    let worker = Worker::ready(|settings| settings.http.write_timeout = Duration::from_millis(500));
    let client = upgraded(&worker, "flood");
    worker.until("its handler heard of it", |_| ended(&worker) == 1);
    worker.until("it is gone", |vitals| {
        (vitals.counts.upgraded, vitals.counts.connections) == (0, 0)
    });
    drop(client);
}

/// A write that the application gave up waits for nobody once the client has taken all.
fn a_client_that_has_taken_everything_keeps_its_upgraded_connection() {
    let worker = Worker::ready(|settings| settings.http.write_timeout = Duration::from_millis(500));
    let mut client = TcpStream::connect(worker.address).expect("connected");
    client.set_read_timeout(Some(TIMEOUT)).expect("set");
    client
        .write_all(request(&kind("burst")).as_bytes())
        .expect("written");
    let reader = client.try_clone().expect("cloned");
    let taking = std::thread::spawn(move || {
        let mut bytes = BufReader::new(reader).bytes();
        bytes.any(|byte| byte.expect("no reset") == b'!')
    });
    for round in 1..=3 {
        let other = upgraded(&worker, "flood");
        worker.until("the time-out is over", |_| ended(&worker) == round);
        drop(other);
    }
    client.write_all(b"!").expect("written");
    assert!(taking.join().expect("no reset"), "it is still echoed");
}

/// A worker that has failed gives half a second, also to those that do not ask.
fn a_worker_that_failed_tells_its_upgraded_connections_and_cuts_them() {
    let mut worker = Worker::ready(|_| {});
    let mut polite = upgraded(&worker, "polite");
    let mut other = upgraded(&worker, "echo");
    assert_eq!(worker.connect().get("/poison").status, 200);
    reads(polite.stream(), b"going away");
    assert_eq!(polite.rest().expect("no reset"), "");
    assert_eq!(
        worker.exit(),
        i32::from(Exit::Poisoned.code()),
        "{}",
        worker.log()
    );
    assert!(worker.log().contains("upgraded=1"), "{}", worker.log());
    assert!(other.stream().read(&mut [0; 9]).unwrap_or(0) == 0, "it is closed");
}

/// What the client sent and the application did not read does not reset the connection under the last word.
fn a_drain_is_told_and_the_last_word_arrives() {
    let mut worker = Worker::ready(|_| {});
    let mut client = upgraded(&worker, "polite");
    echoes(&mut client, b"hello");
    worker.drain();
    reads(client.stream(), b"going away");
    client.write(&[b'u'; 100_000]);
    assert_eq!(client.rest().expect("no reset"), "");
    drop(client);
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()), "{}", worker.log());
}

fn an_upgraded_connection_that_stays_is_cut_and_counted() {
    let mut worker = Worker::ready(|settings| settings.cluster.drain_timeout = Duration::from_millis(2000));
    let mut client = upgraded(&worker, "echo");
    worker.drain();
    // It is served until then.
    echoes(&mut client, b"one more");
    assert_eq!(
        worker.exit(),
        i32::from(Exit::DrainCut.code()),
        "{}",
        worker.log()
    );
    let told = "cut=1 idle=0 reading=0 handling=0 writing=0 upgraded=1";
    assert!(worker.log().contains(told), "{}", worker.log());
    assert_eq!(worker.vitals().counts.cut, 1);
    assert!(
        client.stream().read(&mut [0; 9]).unwrap_or(0) == 0,
        "it is closed"
    );
}

fn an_answer_of_unknown_length_is_counted_while_it_is_sent() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.get("/");
    client.send("GET /drip?ms=3600000 HTTP/1.1\r\nHost: test\r\n\r\n");
    worker.until("it counts", |vitals| vitals.counts.streams == 1);
    let mut short = worker.connect();
    short.send("GET /drip?ms=1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert!(short.rest().expect("no reset").ends_with("drop\r\n0\r\n\r\n"));
    worker.until("the one that is over does not count", |vitals| {
        vitals.counts.streams == 1
    });
}
