//! Clients that keep a worker waiting: for a request, for the rest of one, for room in their own buffers.
//! Each is let go in its time, and nobody is who is only slow.

use std::io::Read;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "silence_before_and_between_requests_is_ended_without_a_reset",
        silence_before_and_between_requests_is_ended_without_a_reset,
    ),
    (
        "silent_connections_make_room_for_others",
        silent_connections_make_room_for_others,
    ),
    (
        "a_request_that_came_while_nobody_looked_is_answered",
        a_request_that_came_while_nobody_looked_is_answered,
    ),
    (
        "work_is_no_silence_however_long_it_takes",
        work_is_no_silence_however_long_it_takes,
    ),
    (
        "a_client_that_takes_nothing_is_cut",
        a_client_that_takes_nothing_is_cut,
    ),
    (
        "a_client_that_takes_a_little_at_a_time_gets_everything",
        a_client_that_takes_a_little_at_a_time_gets_everything,
    ),
    (
        "a_body_that_stalls_is_408_and_no_fault_of_the_worker",
        a_body_that_stalls_is_408_and_no_fault_of_the_worker,
    ),
    (
        "half_a_head_is_408_while_the_worker_drains_too",
        half_a_head_is_408_while_the_worker_drains_too,
    ),
];

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn silence_before_and_between_requests_is_ended_without_a_reset() {
    let worker = Worker::ready(|settings| settings.http.idle_timeout = ms(400));
    let begun = Instant::now();
    let (mut fresh, mut used) = (worker.connect(), worker.connect());
    used.get("/");
    assert_eq!(fresh.rest().expect("no reset"), "");
    assert_eq!(used.rest().expect("no reset"), "");
    assert!(begun.elapsed() >= ms(400), "{:?}", begun.elapsed());
    worker.until("no connection is open", |vitals| vitals.counts.connections == 0);
    assert_eq!(
        worker.vitals().counts.responses,
        [0, 1, 0, 0, 0],
        "nothing was said"
    );
}

fn silent_connections_make_room_for_others() {
    let worker = Worker::ready(|settings| {
        settings.http.idle_timeout = ms(400);
        settings.http.max_connections = 20;
    });
    let silent: Vec<_> = (0..20).map(|_| worker.connect()).collect();
    worker.until("20 are open", |vitals| vitals.counts.connections == 20);
    assert_eq!(worker.connect().get("/").code(), "too_many_connections");
    worker.until("they were let go", |vitals| vitals.counts.connections == 0);
    assert_eq!(worker.connect().get("/").status, 200);
    drop(silent);
}

fn a_request_that_came_while_nobody_looked_is_answered() {
    let worker = Worker::ready(|settings| settings.http.idle_timeout = ms(2000));
    let mut clients: Vec<_> = (0..8).map(|_| worker.connect()).collect();
    for client in &mut clients {
        client.get("/");
    }
    // As a busy machine, a debugger or a suspended laptop does it.
    worker.signal(Signal::SIGSTOP);
    std::thread::sleep(ms(3000));
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    worker.signal(Signal::SIGCONT);
    for client in &mut clients {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
}

fn work_is_no_silence_however_long_it_takes() {
    let worker = Worker::ready(|settings| {
        settings.http.idle_timeout = ms(200);
        settings.http.write_timeout = ms(200);
    });
    let mut handled = worker.connect();
    handled.send("GET /slow?ms=1200 HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut dripping = worker.connect();
    dripping.send("GET /drip?ms=1200 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let mut body = worker.connect();
    body.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(handled.response().expect("an answer").body, "at last");
    assert!(dripping.rest().expect("no reset").contains("drop"));
    body.send("def");
    assert_eq!(body.response().expect("an answer").body, "abcdef");
}

fn a_client_that_takes_nothing_is_cut() {
    let worker = Worker::ready(|settings| settings.http.write_timeout = ms(400));
    let mut client = worker.connect();
    client.send("GET /wide?mib=64 HTTP/1.1\r\nHost: test\r\n\r\n");
    worker.until("it is being answered", |vitals| vitals.counts.in_flight == 1);
    worker.until("it was let go", |vitals| {
        (vitals.counts.connections, vitals.counts.in_flight) == (0, 0)
    });
    let error = client
        .rest()
        .expect_err("the answer is not whole, and that is said");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

fn a_client_that_takes_a_little_at_a_time_gets_everything() {
    let worker = Worker::ready(|settings| settings.http.write_timeout = ms(1000));
    let mut slow = worker.connect();
    slow.send("GET /wide?mib=16 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let (mut total, begun) = (0, Instant::now());
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match slow.stream().read(&mut buffer).expect("no reset") {
            0 => break,
            read => total += read,
        }
        // Several times the limit for all of it, and never a pause near it.
        if begun.elapsed() < ms(3000) {
            std::thread::sleep(ms(40));
        }
    }
    assert!(total > 16 << 20, "{total}");
}

fn a_body_that_stalls_is_408_and_no_fault_of_the_worker() {
    let worker = Worker::ready(|settings| settings.http.request_timeout = ms(300));
    for framing in ["Content-Length: 900", "Transfer-Encoding: chunked"] {
        let mut client = worker.connect();
        client.send(&format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n3\r\nabc\r\n"
        ));
        let answer = client.response().expect("an answer");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (408, "body_timeout"),
            "{framing}"
        );
        assert!(answer.closes(), "{answer:?}");
        assert_eq!(client.rest().expect("no reset"), "");
    }
    assert_eq!(worker.vitals().counts.responses, [0, 0, 0, 2, 0]);
}

fn half_a_head_is_408_while_the_worker_drains_too() {
    let worker = Worker::ready(|settings| {
        settings.http.header_read_timeout = ms(300);
        settings.cluster.drain_timeout = ms(60_000);
    });
    let mut client = worker.connect();
    client.get("/");
    client.send("GET / HTTP/1.1\r\nHo");
    worker.command(cluster::lifeline::Command::Stop);
    assert_eq!(client.response().expect("an answer").code(), "header_timeout");
    assert_eq!(client.rest().expect("no reset"), "");
}
