//! Every limit has a clear answer, and the worker lives on.

use std::time::Duration;

use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_limit_above_axums_own_holds", a_limit_above_axums_own_holds),
    (
        "a_body_too_long_is_413_whether_announced_or_not",
        a_body_too_long_is_413_whether_announced_or_not,
    ),
    ("headers_too_long_are_431", headers_too_long_are_431),
    ("what_is_no_http_is_400", what_is_no_http_is_400),
    (
        "a_length_beyond_all_counting_is_413",
        a_length_beyond_all_counting_is_413,
    ),
    (
        "a_body_that_is_packed_in_an_unknown_way_is_501_and_twice_chunked_400",
        a_body_that_is_packed_in_an_unknown_way_is_501_and_twice_chunked_400,
    ),
    (
        "a_head_that_never_ends_is_408_and_silence_is_not",
        a_head_that_never_ends_is_408_and_silence_is_not,
    ),
    ("a_slow_handler_is_503", a_slow_handler_is_503),
    (
        "a_panic_is_500_and_shows_nothing",
        a_panic_is_500_and_shows_nothing,
    ),
    ("one_connection_too_many_is_503", one_connection_too_many_is_503),
    (
        "running_out_of_descriptors_is_survived",
        running_out_of_descriptors_is_survived,
    ),
];

fn a_body_too_long_is_413_whether_announced_or_not() {
    let worker = Worker::ready(|_| {});
    assert_eq!(worker.connect().post("/echo", &"x".repeat(1000)).body.len(), 1000);
    let announced = worker.connect().post("/echo", &"x".repeat(1001));
    assert_eq!(
        (announced.status, announced.code().as_str()),
        (413, "body_too_large")
    );
    let mut client = worker.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..11 {
        client.send(&format!("64\r\n{}\r\n", "x".repeat(100)));
    }
    client.send("0\r\n\r\n");
    let streamed = client.response().expect("an answer");
    assert_eq!(
        (streamed.status, streamed.code().as_str()),
        (413, "body_too_large")
    );
}

fn a_limit_above_axums_own_holds() {
    let worker = Worker::ready(|settings| settings.http.max_body_bytes = 4_000_000);
    assert_eq!(
        worker.connect().post("/echo", &"x".repeat(3_000_000)).body.len(),
        3_000_000
    );
}

fn headers_too_long_are_431() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send(&format!(
        "GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
        "x".repeat(17_000)
    ));
    let answer = client.response().expect("an answer");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (431, "headers_too_large")
    );
    assert_eq!(client.rest().expect("no reset"), "");
}

fn what_is_no_http_is_400() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send("EHLO example.org\r\n\r\n");
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    assert!(answer.closes());
}

fn a_length_beyond_all_counting_is_413() {
    let worker = Worker::ready(|_| {});
    for length in [
        "18446744073709551615",
        "18446744073709551614",
        "9223372036854775808",
    ] {
        let mut client = worker.connect();
        client.send(&format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        ));
        let answer = client.response().expect("an answer");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (413, "body_too_large"),
            "{length}"
        );
    }
    let mut client = worker.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 18446744073709551616\r\n\r\n");
    assert_eq!(
        client.response().expect("an answer").status,
        400,
        "no number of 64 bits"
    );
}

fn a_body_that_is_packed_in_an_unknown_way_is_501_and_twice_chunked_400() {
    let worker = Worker::ready(|_| {});
    for (coding, status, code) in [
        ("gzip, chunked", 501, "unknown_transfer_coding"),
        ("chunked, chunked", 400, "bad_transfer_coding"),
    ] {
        let mut client = worker.connect();
        client.send(&format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        ));
        let answer = client.response().expect("an answer");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{coding}"
        );
        assert!(answer.closes(), "{answer:?}");
        assert_eq!(client.rest().expect("no reset"), "");
    }
}

fn a_head_that_never_ends_is_408_and_silence_is_not() {
    let worker = Worker::ready(|settings| settings.http.header_read_timeout = Duration::from_millis(200));
    let (mut silent, mut slow) = (worker.connect(), worker.connect());
    silent.get("/");
    slow.get("/");
    slow.send("GET / HTTP/1.1\r\nHost:");
    let answer = slow.response().expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (408, "header_timeout"));
    assert_eq!(slow.rest().expect("no reset"), "");
    assert_eq!(
        silent.get("/").status,
        200,
        "a connection between two requests is not timed"
    );
}

fn a_slow_handler_is_503() {
    let worker = Worker::ready(|settings| settings.http.request_timeout = Duration::from_millis(100));
    let mut client = worker.connect();
    let answer = client.get("/slow?ms=60000");
    assert_eq!((answer.status, answer.code().as_str()), (503, "request_timeout"));
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    assert_eq!(client.get("/healthz/liveness").status, 200);
}

fn a_panic_is_500_and_shows_nothing() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let answer = client.get("/panic");
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal_error"));
    assert!(!answer.body.contains("secret"), "{answer:?}");
    let document: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let id = document["request_id"].as_str().expect("a request id");
    assert!(
        worker.log().contains(id) && worker.log().contains("a secret of the inside"),
        "{}",
        worker.log()
    );
    assert_eq!(client.get("/").status, 200);
}

fn one_connection_too_many_is_503() {
    let worker = Worker::ready(|settings| settings.http.max_connections = 2);
    let (mut first, mut second) = (worker.connect(), worker.connect());
    first.get("/");
    second.get("/");
    let mut third = worker.connect();
    third.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = third.response().expect("an answer");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "too_many_connections")
    );
    assert!(
        answer.closes() && answer.head.contains("retry-after"),
        "{answer:?}"
    );
    assert_eq!(third.rest().expect("no reset"), "");
    drop(first);
    worker.until("room for one more", |vitals| vitals.counts.connections == 1);
    assert_eq!(worker.connect().get("/").status, 200);
}

fn running_out_of_descriptors_is_survived() {
    let worker = Worker::ready(|settings| {
        settings
            .app
            .insert("test".to_owned(), toml::toml! { descriptors = 24 }.into());
    });
    let mut clients: Vec<_> = (0..40).map(|_| worker.connect()).collect();
    worker.until("all were seen", |vitals| vitals.counts.accepted == 40);
    assert!(worker.vitals().counts.refused > 10, "{:?}", worker.vitals());
    assert_eq!(clients[0].get("/").status, 200, "who is in is served");
    let last = clients[39].response().expect("an answer");
    assert_eq!((last.status, last.code().as_str()), (503, "too_many_connections"));
    clients.clear();
    worker.until("all are gone", |vitals| vitals.counts.connections == 0);
    assert_eq!(worker.connect().get("/").status, 200);
}
