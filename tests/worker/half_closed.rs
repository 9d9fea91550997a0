//! Clients that close their sending side right behind their last request, as `nc -N` and many scripts do.
//! Each request that arrived whole is answered, in every way there is to send one. A client that is really
//! gone costs a bounded time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use cluster::base::exit::Exit;
use nix::sys::signal::Signal;

use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "ten_thousand_requests_before_an_end_of_file_are_answered",
        ten_thousand_requests_before_an_end_of_file_are_answered,
    ),
    (
        "requests_of_every_form_before_an_end_of_file_are_answered",
        requests_of_every_form_before_an_end_of_file_are_answered,
    ),
    (
        "a_long_answer_reaches_a_slow_client_that_has_closed_its_side",
        a_long_answer_reaches_a_slow_client_that_has_closed_its_side,
    ),
    (
        "a_streamed_answer_reaches_a_client_that_has_closed_its_side",
        a_streamed_answer_reaches_a_client_that_has_closed_its_side,
    ),
    (
        "requests_before_an_end_of_file_are_answered_while_the_worker_drains",
        requests_before_an_end_of_file_are_answered_while_the_worker_drains,
    ),
    (
        "http2_requests_before_an_end_of_file_are_answered",
        http2_requests_before_an_end_of_file_are_answered,
    ),
    (
        "a_stream_to_a_client_that_is_gone_ends_in_bounded_time",
        a_stream_to_a_client_that_is_gone_ends_in_bounded_time,
    ),
];

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LIVENESS: &str = "GET /healthz/liveness HTTP/1.1\r\nHost: test\r\n\r\n";

/// A connection of either kind.
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    fn both(worker: &Worker) -> [Connection; 2] {
        let path = worker.directory.path().join("socket");
        let timeout = Some(Duration::from_secs(20));
        let tcp = TcpStream::connect(worker.address).expect("connected");
        let unix = UnixStream::connect(path).expect("connected");
        tcp.set_read_timeout(timeout).expect("set");
        unix.set_read_timeout(timeout).expect("set");
        [Connection::Tcp(tcp), Connection::Unix(unix)]
    }

    /// Sends the bytes and an end of file in the same breath.
    fn send_all(&mut self, bytes: &[u8]) {
        match self {
            Connection::Tcp(stream) => {
                stream.write_all(bytes).expect("written");
                stream.shutdown(Shutdown::Write).expect("shut down");
            }
            Connection::Unix(stream) => {
                stream.write_all(bytes).expect("written");
                stream.shutdown(Shutdown::Write).expect("shut down");
            }
        }
    }

    /// Sends one request and reads its whole answer, which ends with `last`.
    fn ask(&mut self, request: &str, last: &str) {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        let stream: &mut dyn ReadWrite = match self {
            Connection::Tcp(stream) => stream,
            Connection::Unix(stream) => stream,
        };
        stream.write_all(request.as_bytes()).expect("written");
        while !answer.ends_with(last.as_bytes()) {
            let read = stream.read(&mut buffer).expect("an answer");
            assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
    }

    /// Everything that comes until the worker closes.
    fn rest(mut self) -> String {
        let mut rest = Vec::new();
        match &mut self {
            Connection::Tcp(stream) => stream.read_to_end(&mut rest).expect("no reset"),
            Connection::Unix(stream) => stream.read_to_end(&mut rest).expect("no reset"),
        };
        String::from_utf8(rest).expect("text")
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 200 OK\r\n").count()
}

/// The number of 200s that come to these bytes and an end of file; the second number is that of connections.
fn answered(worker: &Worker, requests: &str, is_kept_alive: bool, times: usize) -> usize {
    let mut count = 0;
    for _ in 0..times {
        for mut connection in Connection::both(worker) {
            if is_kept_alive {
                connection.ask(GET, "7/2/3");
            }
            connection.send_all(requests.as_bytes());
            count += answers(&connection.rest());
        }
    }
    count
}

/// A thousand requests for each way: alone on a fresh connection, alone on one that was used before, and
/// pipelined by 2, 3 (which is rounded) and 50; over TCP and unix sockets; to a handler and to the edge
/// itself.
fn ten_thousand_requests_before_an_end_of_file_are_answered() {
    let worker = Worker::ready(|_| {});
    let (mut sent, mut got) = (0, 0);
    for request in [GET, LIVENESS] {
        for (pipelined, is_kept_alive) in [(1, false), (1, true), (2, false), (3, false), (50, false)] {
            let times = 500_usize.div_ceil(pipelined);
            let requests = request.repeat(pipelined);
            let answered = answered(&worker, &requests, is_kept_alive, times);
            assert_eq!(
                answered,
                2 * times * pipelined,
                "{pipelined} at once, kept alive: {is_kept_alive}"
            );
            (sent, got) = (sent + 2 * times * pipelined, got + answered);
        }
    }
    assert!(got >= 10_000 && got == sent, "{got} of {sent}");
}

fn requests_of_every_form_before_an_end_of_file_are_answered() {
    let worker = Worker::ready(|_| {});
    let length = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
    let chunks = "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                  1;ext=1\r\na\r\n2\r\nbc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let large = format!(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n{}",
        "x".repeat(1000)
    );
    let slow = "GET /slow?ms=20 HTTP/1.1\r\nHost: test\r\n\r\n";
    for (requests, count) in [
        (length.to_owned(), 1),
        (chunks.to_owned(), 1),
        (chunks.repeat(50), 50),
        (large.repeat(50), 50),
        (slow.repeat(3), 3),
        ([GET, chunks, slow, length, LIVENESS, &large].concat(), 6),
        ("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2), 2),
        (
            "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".to_owned(),
            1,
        ),
    ] {
        let found = answered(&worker, &requests, false, 20);
        assert_eq!(found, 40 * count, "{requests:.300}");
    }
    worker.until("all are gone", |vitals| vitals.counts.connections == 0);
}

fn a_long_answer_reaches_a_slow_client_that_has_closed_its_side() {
    let worker = Worker::ready(|_| {});
    let wide = "GET /wide?mib=8 HTTP/1.1\r\nHost: test\r\n\r\n";
    for mut connection in Connection::both(&worker) {
        connection.send_all([wide, GET].concat().as_bytes());
        // The kernel holds what it can, and the worker the rest.
        worker.until("the kernel takes no more", |vitals| vitals.counts.in_flight == 1);
        std::thread::sleep(Duration::from_millis(200));
        let rest = connection.rest();
        assert!(rest.len() > 8 << 20, "{}", rest.len());
        assert!(rest.ends_with("7/2/3"), "{}", &rest[rest.len() - 100..]);
    }
}

fn a_streamed_answer_reaches_a_client_that_has_closed_its_side() {
    let worker = Worker::ready(|_| {});
    let drip = "GET /drip?ms=300 HTTP/1.1\r\nHost: test\r\n\r\n";
    for mut connection in Connection::both(&worker) {
        connection.send_all(drip.repeat(2).as_bytes());
        let rest = connection.rest();
        assert_eq!(rest.matches("drop").count(), 2, "{rest}");
    }
}

fn requests_before_an_end_of_file_are_answered_while_the_worker_drains() {
    let mut worker = Worker::ready(|_| {});
    let mut kept: Vec<Connection> = (0..50).flat_map(|_| Connection::both(&worker)).collect();
    for connection in &mut kept {
        connection.ask(GET, "7/2/3");
    }
    worker.signal(Signal::SIGSTOP);
    for connection in &mut kept {
        connection.send_all(GET.repeat(3).as_bytes());
    }
    worker.signal(Signal::SIGTERM);
    worker.signal(Signal::SIGCONT);
    for connection in kept {
        assert_eq!(answers(&connection.rest()), 3);
    }
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()), "{}", worker.log());
}

/// Preface, empty SETTINGS, and one GET of `path` on each of the streams 1, 3, 5 and so on (RFC 7541 without
/// Huffman codes).
fn http2_requests(path: &str, streams: u8) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let text = |bytes: &mut Vec<u8>, name: u8, value: &str| {
        bytes.extend_from_slice(&[name, u8::try_from(value.len()).expect("a short text")]);
        bytes.extend_from_slice(value.as_bytes());
    };
    let mut head = vec![0x82, 0x86];
    text(&mut head, 0x04, path);
    text(&mut head, 0x01, "test");
    for stream in 0..streams {
        let length = u8::try_from(head.len()).expect("a short head");
        bytes.extend_from_slice(&[0, 0, length, 1, 5, 0, 0, 0, 2 * stream + 1]);
        bytes.extend_from_slice(&head);
    }
    bytes
}

/// The number of streams that were ended by the server, and not by a reset.
fn http2_answers(mut bytes: &[u8]) -> usize {
    let mut ended = 0;
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).expect("24 bits");
        assert_ne!(*kind, 3, "a stream was reset");
        ended += usize::from(matches!(kind, 0 | 1) && flags & 1 == 1);
        bytes = rest.get(length..).expect("a whole frame");
    }
    ended
}

fn http2_requests_before_an_end_of_file_are_answered() {
    let worker = Worker::ready(|_| {});
    for (path, streams) in [
        ("/", 1),
        ("/healthz/liveness", 1),
        ("/", 50),
        ("/slow?ms=20", 3),
        ("/drip?ms=50", 3),
    ] {
        for _ in 0..20 {
            for mut connection in Connection::both(&worker) {
                connection.send_all(&http2_requests(path, streams));
                let mut rest = Vec::new();
                match &mut connection {
                    Connection::Tcp(stream) => stream.read_to_end(&mut rest).expect("no reset"),
                    Connection::Unix(stream) => stream.read_to_end(&mut rest).expect("no reset"),
                };
                assert_eq!(http2_answers(&rest), usize::from(streams), "{path}");
            }
        }
    }
    worker.until("all are gone", |vitals| vitals.counts.connections == 0);
}

/// Nothing but time tells such a client from one that still reads.
fn a_stream_to_a_client_that_is_gone_ends_in_bounded_time() {
    let worker = Worker::ready(|settings| {
        settings.http.write_timeout = Duration::from_millis(500);
        settings.http.request_timeout = Duration::from_millis(700);
    });
    let silent = "GET /drip?ms=600000 HTTP/1.1\r\nHost: test\r\n\r\n";
    for bytes in [silent.as_bytes(), &http2_requests("/drip?ms=600000", 1)] {
        for mut connection in Connection::both(&worker) {
            let begun = Instant::now();
            connection.send_all(bytes);
            worker.until("it is being answered", |vitals| vitals.counts.in_flight == 1);
            // To close now would reset the connection if something of the answer has come, which tells more.
            worker.until("it is given up", |vitals| vitals.counts.in_flight == 0);
            drop(connection);
            assert!(
                begun.elapsed() >= Duration::from_millis(600),
                "{:?}",
                begun.elapsed()
            );
        }
    }
    worker.until("all are gone", |vitals| vitals.counts.connections == 0);
}
