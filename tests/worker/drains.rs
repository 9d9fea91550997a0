//! A drain loses nothing: whatever was accepted or waits in the queue is answered, and no answer meets a
//! reset.

use std::time::Duration;

use cluster::base::exit::Exit;
use cluster::lifeline::{Command, Report};
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_idle_connection_is_kept_until_its_next_request",
        an_idle_connection_is_kept_until_its_next_request,
    ),
    (
        "a_fresh_connection_is_kept_until_its_first_request",
        a_fresh_connection_is_kept_until_its_first_request,
    ),
    ("a_running_request_is_finished", a_running_request_is_finished),
    (
        "a_handler_that_prints_after_the_end_of_the_master_answers",
        a_handler_that_prints_after_the_end_of_the_master_answers,
    ),
    (
        "half_a_head_and_half_a_body_are_waited_for",
        half_a_head_and_half_a_body_are_waited_for,
    ),
    (
        "half_a_head_behind_an_answered_request_is_waited_for",
        half_a_head_behind_an_answered_request_is_waited_for,
    ),
    (
        "pipelined_requests_do_not_cause_a_reset",
        pipelined_requests_do_not_cause_a_reset,
    ),
    (
        "pipelined_requests_that_are_on_their_way_are_all_answered",
        pipelined_requests_that_are_on_their_way_are_all_answered,
    ),
    (
        "what_waits_in_the_queue_is_answered",
        what_waits_in_the_queue_is_answered,
    ),
    ("a_draining_worker_is_not_ready", a_draining_worker_is_not_ready),
    (
        "a_worker_of_a_cluster_that_will_stop_is_not_ready_and_serves_on",
        a_worker_of_a_cluster_that_will_stop_is_not_ready_and_serves_on,
    ),
    ("the_end_of_the_master_drains", the_end_of_the_master_drains),
    (
        "a_stop_does_not_wait_for_silence",
        a_stop_does_not_wait_for_silence,
    ),
    (
        "a_stop_makes_a_running_drain_faster",
        a_stop_makes_a_running_drain_faster,
    ),
    (
        "what_takes_too_long_is_cut_and_reported",
        what_takes_too_long_is_cut_and_reported,
    ),
    (
        "silence_is_over_before_the_time_is",
        silence_is_over_before_the_time_is,
    ),
];

fn ends_well(mut client: Client, path: &str) {
    let answer = client.get(path);
    assert_eq!(answer.status, 200);
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(client.rest().expect("no reset"), "");
}

fn drained(worker: &mut Worker) {
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()), "{}", worker.log());
    assert!(worker.log().contains("the exit hook ran"), "{}", worker.log());
}

fn an_idle_connection_is_kept_until_its_next_request() {
    let mut worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    assert!(!client.get("/").closes());
    worker.drain();
    std::thread::sleep(Duration::from_millis(1500));
    ends_well(client, "/");
    drained(&mut worker);
}

fn a_fresh_connection_is_kept_until_its_first_request() {
    let mut worker = Worker::ready(|_| {});
    let client = worker.connect();
    worker.until("it is accepted", |vitals| vitals.counts.connections == 1);
    worker.drain();
    ends_well(client, "/");
    drained(&mut worker);
}

fn a_running_request_is_finished() {
    let mut worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send("GET /slow?ms=400 HTTP/1.1\r\nHost: test\r\n\r\n");
    worker.until("it runs", |vitals| vitals.counts.in_flight == 1);
    worker.drain();
    let answer = client.response().expect("an answer");
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.closes()),
        (200, "at last", true)
    );
    drop(client);
    drained(&mut worker);
}

fn half_a_head_and_half_a_body_are_waited_for() {
    let mut worker = Worker::ready(|_| {});
    let (mut head, mut body) = (worker.connect(), worker.connect());
    head.send("GET / HTTP/1.1\r\nHo");
    body.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf");
    worker.until("both are there", |vitals| {
        vitals.counts.connections == 2 && vitals.counts.in_flight == 1
    });
    worker.drain();
    head.send("st: test\r\n\r\n");
    assert_eq!(head.response().expect("an answer").status, 200);
    body.send("half");
    assert_eq!(body.response().expect("an answer").body, "halfhalf");
    drop((head, body));
    drained(&mut worker);
}

/// The half came in the same packet as the request before it, so that no byte arrives after the answer.
fn half_a_head_behind_an_answered_request_is_waited_for() {
    let mut worker = Worker::ready(without_limits);
    // The older connection is told to finish first.
    let (mut half, mut silent) = (worker.connect(), worker.connect());
    half.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHo");
    assert_eq!(half.response().expect("an answer").status, 200);
    silent.get("/");
    worker.command(Command::Stop);
    assert_eq!(
        silent.rest().expect("no reset"),
        "",
        "silent connections are closed"
    );
    half.send("st: test\r\n\r\n");
    let answer = half.response().expect("an answer");
    assert_eq!((answer.status, answer.closes()), (200, true));
    drop(half);
    drained(&mut worker);
}

fn pipelined_requests_do_not_cause_a_reset() {
    let mut worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.get("/");
    worker.drain();
    client.send(&"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(50));
    let answers = (1..).map(|number| (number, client.response().expect("an answer")));
    let (last, _) = answers
        .into_iter()
        .find(|(_, answer)| answer.closes())
        .expect("one says so");
    assert_eq!(last, 50, "the last one");
    client.send(&"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(50));
    assert_eq!(
        client.rest().expect("no reset"),
        "",
        "nothing is answered after the last word"
    );
    drop(client);
    drained(&mut worker);
}

fn pipelined_requests_that_are_on_their_way_are_all_answered() {
    let mut worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let get = "GET /slow?ms=100 HTTP/1.1\r\nHost: test\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
    client.send(&[get, post, get, post].concat());
    worker.until("the first is being answered", |vitals| {
        vitals.counts.in_flight == 1
    });
    worker.drain();
    client.send(&[post, get, post].concat());
    for number in 1..=7 {
        let answer = client.response().expect("an answer");
        assert_eq!((answer.status, answer.closes()), (200, number == 7), "{number}");
    }
    assert_eq!(client.rest().expect("no reset"), "");
    drained(&mut worker);
}

fn what_waits_in_the_queue_is_answered() {
    let mut worker = Worker::ready(|_| {});
    worker.signal(Signal::SIGSTOP);
    let mut clients: Vec<_> = (0..100).map(|_| worker.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    worker.signal(Signal::SIGTERM);
    worker.signal(Signal::SIGCONT);
    for client in &mut clients {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    drop(clients);
    drained(&mut worker);
}

fn a_draining_worker_is_not_ready() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.get("/");
    worker.drain();
    assert_eq!(client.get("/healthz/readiness").code(), "not_ready");
}

fn a_worker_of_a_cluster_that_will_stop_is_not_ready_and_serves_on() {
    let mut worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    assert_eq!(client.get("/healthz/readiness").status, 200);
    worker.command(Command::StopSoon);
    // The answer to the second command comes after the first one was read.
    worker.command(Command::Probe);
    let told = Report::Probed(Err("the cluster stops soon; requests are still served".to_owned()));
    assert_eq!(worker.report(), told);
    assert_eq!(client.get("/healthz/readiness").code(), "not_ready");
    let mut fresh = worker.connect();
    for client in [&mut client, &mut fresh] {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.closes()), (200, false));
    }
    drop((client, fresh));
    worker.drain();
    drained(&mut worker);
}

fn the_end_of_the_master_drains() {
    let mut worker = Worker::ready(|_| {});
    let mut running = worker.connect();
    running.send("GET /slow?ms=400 HTTP/1.1\r\nHost: test\r\n\r\n");
    worker.until("it runs", |vitals| vitals.counts.in_flight == 1);
    worker.die();
    assert!(running.response().expect("an answer").closes());
    drop(running);
    drained(&mut worker);
    assert!(worker.log().contains("the master is gone"), "{}", worker.log());
}

/// The pipe behind stdout has no reader any more, and `println` panics when a write fails.
fn a_handler_that_prints_after_the_end_of_the_master_answers() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let unused = tempfile::NamedTempFile::new().expect("a file");
    let mut worker = Worker::start_with_log(|_| {}, unused, writer.into());
    assert!(worker.notification().starts_with("READY=1"));
    let (mut client, mut other) = (worker.connect(), worker.connect());
    assert_eq!(other.get("/print").status, 200);
    drop(reader);
    worker.die();
    while !client.get("/").closes() {}
    assert_eq!(other.get("/print").status, 200);
    drop((client, other));
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()));
}

/// Longer than any test waits: what ends before it did not wait for it.
fn without_limits(settings: &mut cluster::config::Settings) {
    settings.cluster.drain_timeout = Duration::from_secs(3600);
    settings.http.idle_timeout = Duration::from_secs(3600);
}

fn a_stop_does_not_wait_for_silence() {
    let mut worker = Worker::ready(without_limits);
    let mut silent = worker.connect();
    silent.get("/");
    worker.command(Command::Stop);
    drained(&mut worker);
    assert_eq!(silent.rest().expect("no reset"), "");
}

fn a_stop_makes_a_running_drain_faster() {
    let mut worker = Worker::ready(without_limits);
    let mut silent = worker.connect();
    silent.get("/");
    worker.drain();
    worker.command(Command::Stop);
    drained(&mut worker);
}

fn what_takes_too_long_is_cut_and_reported() {
    let mut worker = Worker::ready(|settings| settings.cluster.drain_timeout = Duration::from_millis(500));
    let mut client = worker.connect();
    client.send("GET /slow?ms=3600000 HTTP/1.1\r\nHost: test\r\n\r\n");
    worker.until("it runs", |vitals| vitals.counts.in_flight == 1);
    worker.drain();
    assert_eq!(worker.exit(), i32::from(Exit::DrainCut.code()));
    assert!(
        worker
            .log()
            .contains("cut=1 idle=0 reading=0 handling=1 writing=0"),
        "{}",
        worker.log()
    );
    assert!(worker.log().contains("the exit hook ran"), "{}", worker.log());
}

fn silence_is_over_before_the_time_is() {
    let mut worker = Worker::ready(|settings| settings.cluster.drain_timeout = Duration::from_millis(1000));
    let mut silent = worker.connect();
    silent.get("/");
    worker.drain();
    drained(&mut worker);
    assert_eq!(silent.rest().expect("no reset"), "");
}
