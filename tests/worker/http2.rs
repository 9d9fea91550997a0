//! HTTP/2 by prior knowledge on the same port: the same answers, limits and counters as HTTP/1.1, and a drain
//! by GOAWAY that loses nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use cluster::base::exit::Exit;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::{JoinSet, LocalSet};

use crate::master::{TIMEOUT, Worker};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "http2_gets_the_same_answers_limits_and_counters",
        http2_gets_the_same_answers_limits_and_counters,
    ),
    (
        "http2_answers_that_are_none_are_refused",
        http2_answers_that_are_none_are_refused,
    ),
    (
        "an_http2_request_says_once_whom_it_is_for",
        an_http2_request_says_once_whom_it_is_for,
    ),
    (
        "a_preface_in_pieces_is_a_preface_and_half_a_one_expires",
        a_preface_in_pieces_is_a_preface_and_half_a_one_expires,
    ),
    (
        "more_streams_than_may_be_wait_their_turn",
        more_streams_than_may_be_wait_their_turn,
    ),
    (
        "a_silent_http2_connection_is_told_to_go",
        a_silent_http2_connection_is_told_to_go,
    ),
    (
        "a_busy_http2_connection_is_not_silent",
        a_busy_http2_connection_is_not_silent,
    ),
    (
        "an_http2_client_that_makes_no_room_is_cut",
        an_http2_client_that_makes_no_room_is_cut,
    ),
];

/// Everything the server says until it closes, as types of frames.
pub(crate) fn frames(stream: &mut TcpStream) -> Vec<u8> {
    let mut types = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits")];
        stream.read_exact(&mut payload).expect("a whole frame");
        types.push(head[3]);
        // A PING (6) without ACK (1) is answered, as a living client does.
        if head[3] == 6 && head[4] == 0 {
            stream
                .write_all(&[&[0, 0, 8, 6, 1, 0, 0, 0, 0], &payload[..]].concat())
                .expect("written");
        }
    }
    types
}

fn a_silent_http2_connection_is_told_to_go() {
    let worker = Worker::ready(|settings| settings.http.idle_timeout = Duration::from_millis(1500));
    let mut silent = TcpStream::connect(worker.address).expect("connected");
    silent
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("written");
    let types = frames(&mut silent);
    let goaways = types.iter().filter(|&&frame| frame == 7).count();
    assert_eq!(goaways, 2, "{types:?}");
    worker.until("it is gone", |vitals| vitals.counts.connections == 0);
    // One that does not answer is let go as well.
    let mut mute = TcpStream::connect(worker.address).expect("connected");
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("written");
    let mut all = Vec::new();
    mute.read_to_end(&mut all).expect("no reset");
}

fn a_busy_http2_connection_is_not_silent() {
    let worker = Worker::ready(|settings| {
        settings.http.idle_timeout = Duration::from_millis(200);
        settings.http.write_timeout = Duration::from_millis(200);
    });
    in_runtime(async {
        let mut client = connect(worker.address).await;
        let slow = answer(&mut client, request("GET", "/slow?ms=1000", ""));
        assert_eq!(slow.await.0, 200);
        let mut client = connect(worker.address).await;
        let dripping = answer(&mut client, request("GET", "/drip?ms=1000", ""));
        assert_eq!(dripping.await, (StatusCode::OK, "drop".to_owned()));
    });
}

fn an_http2_client_that_makes_no_room_is_cut() {
    let worker = Worker::ready(|settings| settings.http.write_timeout = Duration::from_millis(400));
    in_runtime(async {
        let mut client = connect(worker.address).await;
        let response = client.send_request(request("GET", "/wide?mib=64", "")).await;
        let body = response.expect("an answer").into_body();
        let deadline = Instant::now() + Duration::from_secs(20);
        while worker.vitals().counts.connections > 0 {
            assert!(Instant::now() < deadline, "{:?}", worker.vitals());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let whole = body.collect().await;
        assert!(whole.is_err(), "the answer is not whole, and that is said");
    });
}

pub(crate) type Client = SendRequest<Full<Bytes>>;

pub(crate) fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let in_time = tokio::time::timeout(TIMEOUT, work).await;
        in_time.expect("the work ends in time")
    })
}

pub(crate) async fn connect(address: SocketAddr) -> Client {
    let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    client
}

pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://test{path}"))
        .body(Full::new(body.into()))
        .expect("a request")
}

pub(crate) async fn answer(client: &mut Client, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let response = client.send_request(request).await.expect("an answer");
    assert_eq!(response.version(), Version::HTTP_2);
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

pub(crate) fn drained(worker: &mut Worker) {
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()), "{}", worker.log());
}

fn http2_gets_the_same_answers_limits_and_counters() {
    let worker = Worker::ready(|_| {});
    in_runtime(async {
        let mut client = connect(worker.address).await;
        assert_eq!(
            answer(&mut client, request("GET", "/", "")).await,
            (StatusCode::OK, "7/2/3".to_owned())
        );
        assert_eq!(
            answer(&mut client, request("GET", "/healthz/liveness", ""))
                .await
                .0,
            200
        );
        let echoed = answer(&mut client, request("POST", "/echo", "x".repeat(1000))).await;
        assert_eq!(echoed, (StatusCode::OK, "x".repeat(1000)));
        let (status, problem) = answer(&mut client, request("POST", "/echo", "x".repeat(1001))).await;
        assert!(status == 413 && problem.contains("body_too_large"), "{problem}");
        assert_eq!(answer(&mut client, request("GET", "/panic", "")).await.0, 500);
        let mut wide = request("GET", "/", "");
        wide.headers_mut()
            .insert("x-wide", "w".repeat(20_000).parse().expect("a value"));
        assert_eq!(answer(&mut client, wide).await.0, 431);
        assert_eq!(
            answer(&mut client, request("GET", "/", "")).await.0,
            200,
            "the connection is as good as before"
        );
        worker.until("six requests, one connection", |vitals| {
            let counts = vitals.counts;
            (counts.requests, counts.connections, counts.in_flight) == (6, 1, 0)
                && counts.responses == [0, 4, 0, 1, 1]
        });
    });
    worker.until("the connection is gone", |vitals| vitals.counts.connections == 0);
}

fn http2_answers_that_are_none_are_refused() {
    let worker = Worker::ready(|_| {});
    in_runtime(async {
        let mut client = connect(worker.address).await;
        for (path, status, code) in [
            ("/upgrade", 501, "upgrade_not_supported"),
            ("/early", 500, "internal_error"),
        ] {
            let (found, body) = answer(&mut client, request("GET", path, "")).await;
            assert_eq!(found, status, "{path}");
            assert!(body.contains(code), "{body}");
        }
    });
}

/// One GET of `/` with these fields, by their indices in the static table (RFC 7541), and the status of the
/// answer.
fn status_of(worker: &Worker, fields: &[(u8, &str)]) -> u16 {
    let mut head = vec![0x82, 0x84, 0x86];
    for (index, value) in fields {
        // Without indexing; an index above 14 continues in a second byte.
        let name = if *index < 15 {
            vec![*index]
        } else {
            vec![0x0f, index - 15]
        };
        head.extend(name);
        head.push(u8::try_from(value.len()).expect("a short text"));
        head.extend_from_slice(value.as_bytes());
    }
    let length = u8::try_from(head.len()).expect("a short head");
    let mut stream = TcpStream::connect(worker.address).expect("connected");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let frame = [&preface[..], &[0, 0, length, 1, 5, 0, 0, 0, 1], &head].concat();
    stream.write_all(&frame).expect("written");
    stream.shutdown(std::net::Shutdown::Write).expect("shut down");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("no reset");
    let mut rest = &all[..];
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).expect("24 bits");
        match (kind, payload[0]) {
            // Statuses of the static table, and a literal one with Huffman codes or without.
            (1, 0x88) => return 200,
            (1, 0x8c) => return 400,
            (1, first) => panic!("a head that begins with {first:#x}"),
            (3, _) => return 0,
            _ => rest = &payload[length..],
        }
    }
    panic!("no answer in {all:?}");
}

const AUTHORITY: u8 = 1;
const HOST: u8 = 38;

fn an_http2_request_says_once_whom_it_is_for() {
    let worker = Worker::ready(|_| {});
    for fields in [
        &[(AUTHORITY, "test")][..],
        &[(HOST, "test")],
        &[(AUTHORITY, "test"), (HOST, "Test:80")],
        &[(AUTHORITY, "[::1]:8080")],
    ] {
        assert_eq!(status_of(&worker, fields), 200, "{fields:?}");
    }
    for fields in [
        &[][..],
        &[(AUTHORITY, "test"), (HOST, "other")],
        &[(AUTHORITY, "test"), (HOST, "test:8080")],
        &[(HOST, "test"), (HOST, "test")],
        &[(HOST, "h:-1")],
        &[(HOST, "user@h")],
    ] {
        assert_eq!(status_of(&worker, fields), 400, "{fields:?}");
    }
    // h2 itself resets a stream with an authority that is none.
    for authority in ["user@test", "h:-1", "h:99999"] {
        let status = status_of(&worker, &[(AUTHORITY, authority)]);
        assert!(matches!(status, 0 | 400), "{authority}: {status}");
    }
}

fn a_preface_in_pieces_is_a_preface_and_half_a_one_expires() {
    let worker = Worker::ready(|settings| settings.http.header_read_timeout = Duration::from_millis(300));
    let mut client = TcpStream::connect(worker.address).expect("connected");
    client.set_nodelay(true).expect("set");
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        client.write_all(&[*byte]).expect("written");
    }
    let mut head = [0; 9];
    client.read_exact(&mut head).expect("a frame");
    assert_eq!(
        (head[3], head[5..].to_vec()),
        (4, vec![0; 4]),
        "SETTINGS of stream 0"
    );
    let mut half = TcpStream::connect(worker.address).expect("connected");
    half.write_all(b"PRI * HTTP/2.0\r\n\r\n").expect("written");
    let mut text = String::new();
    half.read_to_string(&mut text).expect("no reset");
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    let mut like = TcpStream::connect(worker.address).expect("connected");
    for part in [
        "P",
        "OST /echo HTTP/1.1\r\nHost: test\r\nConnection: close\r\n",
        "Content-Length: 3\r\n\r\nabc",
    ] {
        like.write_all(part.as_bytes()).expect("written");
    }
    let mut text = String::new();
    like.read_to_string(&mut text).expect("no reset");
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("abc"),
        "{text}"
    );
}

fn more_streams_than_may_be_wait_their_turn() {
    let worker = Worker::ready(|settings| settings.http.max_streams = 10);
    in_runtime(async {
        let mut client = connect(worker.address).await;
        // The client learns of the limit with the first answer.
        answer(&mut client, request("GET", "/", "")).await;
        let mut all = JoinSet::new();
        for _ in 0..100 {
            let mut client = client.clone();
            all.spawn_local(async move { answer(&mut client, request("GET", "/slow?ms=100", "")).await });
        }
        let mut most = 0;
        while let Some(done) = all.join_next().await {
            assert_eq!(done.expect("no panic").0, 200);
            most = most.max(worker.vitals().counts.in_flight);
        }
        assert!((1..=10).contains(&most), "{most} at once");
    });
}
