//! Requests at the edge of what HTTP/1.1 allows: whatever two servers could read in two ways is refused and
//! ends the connection, and what is merely rare is answered.

use crate::client::Response;
use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_request_says_once_whom_it_is_for",
        a_request_says_once_whom_it_is_for,
    ),
    (
        "two_ways_to_tell_a_body_s_length_are_not_taken",
        two_ways_to_tell_a_body_s_length_are_not_taken,
    ),
    (
        "a_client_that_has_said_everything_gets_every_answer",
        a_client_that_has_said_everything_gets_every_answer,
    ),
    ("what_is_no_text_is_refused", what_is_no_text_is_refused),
    (
        "a_line_that_ends_without_a_carriage_return_is_refused",
        a_line_that_ends_without_a_carriage_return_is_refused,
    ),
    ("too_many_headers_are_431", too_many_headers_are_431),
    (
        "a_request_has_one_id_in_answer_and_problem",
        a_request_has_one_id_in_answer_and_problem,
    ),
    ("an_absolute_target_is_answered", an_absolute_target_is_answered),
    (
        "trailers_are_read_and_passed_over",
        trailers_are_read_and_passed_over,
    ),
    (
        "a_client_that_asks_first_is_told_to_go_on",
        a_client_that_asks_first_is_told_to_go_on,
    ),
    (
        "a_switch_that_the_client_did_not_ask_for_is_refused_and_that_is_said",
        a_switch_that_the_client_did_not_ask_for_is_refused_and_that_is_said,
    ),
    (
        "http_1_0_is_answered_in_its_own_way",
        http_1_0_is_answered_in_its_own_way,
    ),
];

/// The only answer to these bytes, and that the connection ends with it, without a reset.
fn only(worker: &Worker, bytes: &[u8]) -> Response {
    let mut client = worker.connect();
    client.write(bytes);
    let answer = client.response().expect("an answer");
    let text = String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(client.rest().expect("no reset"), "", "{text:?}");
    answer
}

fn refused(worker: &Worker, bytes: &[u8], code: &str) {
    let answer = only(worker, bytes);
    assert_eq!((answer.status, answer.code().as_str()), (400, code), "{answer:?}");
    assert!(answer.closes(), "{answer:?}");
}

fn a_request_says_once_whom_it_is_for() {
    let worker = Worker::ready(|_| {});
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:-1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:80:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@h\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a:8080\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n",
        "GET http://test/ HTTP/1.1\r\n\r\n",
        "GET /healthz/liveness HTTP/1.1\r\n\r\n",
    ] {
        refused(&worker, head.as_bytes(), "bad_host");
    }
    // What follows such a request is not looked at.
    refused(
        &worker,
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "bad_host",
    );
}

fn two_ways_to_tell_a_body_s_length_are_not_taken() {
    let worker = Worker::ready(|_| {});
    for fields in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -1",
        "Content-Length: 3 3",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, gzip",
        "Content-Length : 3",
        " Content-Length: 3",
        "X: y\r\n folded",
    ] {
        let head = format!("POST /echo HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\nabc");
        refused(&worker, head.as_bytes(), "bad_request");
    }
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
    ] {
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n"
        );
        // RFC 9112 (6.1): chunks win, and the connection ends, so that nothing behind them is taken for a
        // request.
        let answer = only(&worker, head.as_bytes());
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.closes()),
            (200, "", true),
            "{fields}"
        );
    }
}

fn what_is_no_text_is_refused() {
    let worker = Worker::ready(|_| {});
    for bytes in [
        &b"GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX\0: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: test\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        refused(&worker, bytes, "bad_request");
    }
}

/// Other servers read a bare line feed in another way: what is behind it would be a request of somebody
/// else's making.
fn a_line_that_ends_without_a_carriage_return_is_refused() {
    let worker = Worker::ready(|_| {});
    let hidden = "GET /hidden HTTP/1.1\r\nHost: test\r\n\r\n";
    for head in [
        "GET / HTTP/1.1\nHost: test\n\n",
        "GET / HTTP/1.1\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX: y\nContent-Length: 3\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
    ] {
        refused(&worker, [head, hidden].concat().as_bytes(), "bad_request");
        // The answers to the requests before are not lost by it.
        let mut client = worker.connect();
        client.send(&["GET /slow?ms=20 HTTP/1.1\r\nHost: test\r\n\r\n", head, hidden].concat());
        assert_eq!(client.response().expect("an answer").body, "at last", "{head:?}");
        assert_eq!(
            client.response().expect("an answer").code(),
            "bad_request",
            "{head:?}"
        );
        assert_eq!(client.rest().expect("no reset"), "", "{head:?}");
    }
    let post = "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\r\nX: y\n\r\n",
        "3\r\nabc\r\n0\r\nX: y\n\n",
        "3\r\nabc\r\n0\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;x=\n\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
    ] {
        for cut in [1, 9, 500] {
            let text = [post, chunks, hidden].concat();
            let mut client = worker.connect();
            for part in text.as_bytes().chunks(cut) {
                client.write(part);
            }
            let answer = client.response().expect("an answer");
            assert_eq!(answer.status, 400, "{chunks:?}: {answer:?}");
            assert_eq!(client.rest().expect("no reset"), "", "{chunks:?}");
        }
    }
}

fn too_many_headers_are_431() {
    let worker = Worker::ready(|_| {});
    let many = |count: usize| {
        let fields: String = (0..count).map(|n| format!("x{n}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
    };
    let mut client = worker.connect();
    client.send(&many(99));
    assert_eq!(client.response().expect("an answer").status, 200);
    let answer = only(&worker, many(101).as_bytes());
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (431, "headers_too_large")
    );
}

fn an_absolute_target_is_answered() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send("GET http://Elsewhere.example:80/echo HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n");
    assert_eq!(client.response().expect("an answer").status, 405);
    client.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().expect("an answer").status, 404);
    client.send("OPTIONS /echo HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.response().expect("an answer");
    assert!(
        answer.status == 405 && answer.head.contains("allow: post"),
        "{answer:?}"
    );
}

fn trailers_are_read_and_passed_over() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let post = "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(&format!(
        "{post}3;ext=1\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
    ));
    assert_eq!(client.response().expect("an answer").body, "abc");
    assert_eq!(client.get("/").status, 200, "the connection is in step");
    for chunk in [
        "z\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "3\r\nabcd\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let mut client = worker.connect();
        client.send(&format!("{post}{chunk}0\r\n\r\n"));
        assert_eq!(client.response().expect("an answer").status, 400, "{chunk:?}");
        assert_eq!(client.rest().expect("no reset"), "");
    }
}

fn a_client_that_asks_first_is_told_to_go_on() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().expect("a word").status, 100);
    client.send("abc");
    assert_eq!(client.response().expect("an answer").body, "abc");
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9000\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().expect("an answer").code(), "body_too_large");
}

/// A client that asked for no other protocol gets none.
fn a_switch_that_the_client_did_not_ask_for_is_refused_and_that_is_said() {
    let worker = Worker::ready(|_| {});
    let wish = "Host: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = worker.connect();
    for _ in 0..2 {
        let answer = client.get("/upgrade");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (501, "upgrade_not_supported")
        );
        assert!(!answer.head.contains("upgrade: "), "{answer:?}");
    }
    assert!(
        worker.log().contains("switched to another protocol"),
        "{}",
        worker.log()
    );
    // A server may pass over the wish, and the connection goes on.
    client.send(&format!("GET / HTTP/1.1\r\n{wish}"));
    assert_eq!(client.response().expect("an answer").body, "7/2/3");
    // An answer that is none is no answer of this kind either.
    assert_eq!(client.get("/early").code(), "internal_error");
    assert_eq!(client.get("/").status, 200);
}

fn http_1_0_is_answered_in_its_own_way() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let rest = client.rest().expect("no reset");
    assert!(
        rest.starts_with("HTTP/1.0 200") && rest.ends_with("7/2/3"),
        "{rest}"
    );
    let mut kept = worker.connect();
    for _ in 0..2 {
        kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = kept.response().expect("an answer");
        assert!(
            answer.status == 200 && answer.head.contains("connection: keep-alive"),
            "{answer:?}"
        );
    }
}

/// As `nc -N` does it, after one request or several.
fn a_client_that_has_said_everything_gets_every_answer() {
    let worker = Worker::ready(|_| {});
    for many in [1, 3] {
        let mut client = worker.connect();
        client.send(&"GET /slow?ms=30 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(many));
        client.say_no_more();
        for _ in 0..many {
            assert_eq!(client.response().expect("an answer").body, "at last");
        }
        assert_eq!(client.rest().expect("no reset"), "");
    }
    // Half a request is none.
    let mut client = worker.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
    client.say_no_more();
    assert_eq!(client.response().expect("an answer").status, 400);
    assert_eq!(client.rest().expect("no reset"), "");
    worker.until("all are gone", |vitals| vitals.counts.connections == 0);
}

/// The value of this header in the answer.
fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    let lines = answer.head.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    values.next().unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}

fn a_request_has_one_id_in_answer_and_problem() {
    let worker = Worker::ready(|_| {});
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    for (path, status) in [
        ("/", 200),
        ("/nowhere", 404),
        ("/panic", 500),
        ("/healthz/liveness", 200),
    ] {
        let mut client = worker.connect();
        let mut ask = |line: &str| {
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n"));
            let answer = client.response().expect("an answer");
            assert_eq!(answer.status, status, "{path}: {answer:?}");
            let id = id_in_problem(&answer);
            assert_eq!(id.is_some(), status >= 400, "{answer:?}");
            let told = header(&answer, "x-request-id").to_owned();
            assert!(id.is_none_or(|id| id == told), "{answer:?}");
            told
        };
        assert_eq!(ask("X-Request-Id: r-1"), "r-1");
        assert_eq!(ask(&traceparent), trace);
        let (one, other) = (ask("Accept: */*"), ask("X-Request-Id: not one id"));
        assert!(
            one.len() == 32 && other.len() == 32 && one != other,
            "{one} {other}"
        );
    }
    let refused = only(&worker, b"GET / HTTP/1.1\r\nno header\r\n\r\n");
    assert_eq!(
        id_in_problem(&refused).as_deref(),
        Some(header(&refused, "x-request-id"))
    );
}

/// The member `request_id` of a problem document.
fn id_in_problem(answer: &Response) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    Some(document["request_id"].as_str()?.to_owned())
}
