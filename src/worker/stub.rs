//! The stub: a process that the master starts on all listeners while no worker can serve. It refuses whoever
//! connects, so that nobody waits in a queue that nobody reads: HTTP is answered 503 with `Retry-After`,
//! everything else is closed. It runs no code of the application, tells its master regularly that it does not
//! hang, and ends with its master.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use http::StatusCode;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::accept::listener::{Listener, Stream};
use super::command::print_error;
use super::connection::finish::linger;
use crate::base::exit::Exit;
use crate::http::Problem;
use crate::sys::{inherit, isolation};

/// Set in a stub: the value of `Retry-After`, in seconds.
const STUB: &str = "CLUSTER_STUB";
/// The first inherited descriptor.
const FIRST_FD: i32 = 3;
/// At most this many connections are answered at once; more wait for one of them to end.
const MAX_CONNECTIONS: u32 = 256;
/// A client has this time to say its first line, and this time to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time between two beats, which are bytes to the master.
const BEAT_INTERVAL: Duration = Duration::from_millis(500);
/// The longest first line, in bytes.
const MAX_FIRST_LINE: usize = 8192;
/// Nothing more can be accepted for this long after a failure, such as having no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
    Other,
}

/// Whether this process was started to be a stub.
pub(crate) fn is_stub_asked_for() -> bool {
    std::env::var_os(STUB).is_some()
}

/// Runs this process as a stub, until its master ends or lets it go.
pub(crate) fn run_stub() -> ExitCode {
    match run() {
        Ok(()) => Exit::Stopped.into(),
        Err(error) => {
            print_error(&format!(
                "cluster: this process was asked to be a stub ({STUB} is set), which only a master does: \
                 {error}"
            ));
            Exit::NoWorker.into()
        }
    }
}

fn run() -> io::Result<()> {
    isolation::deny_debuggers()?;
    let retry_after = number(STUB)?;
    if number("LISTEN_PID")? != std::process::id() {
        return Err(io::Error::other("LISTEN_PID names another process"));
    }
    let count = i32::try_from(number("LISTEN_FDS")?).map_err(io::Error::other)?;
    let listeners: Vec<_> = (FIRST_FD..FIRST_FD + count)
        .map(inherit::take)
        .collect::<io::Result<_>>()?;
    let lifeline = StdUnixStream::from(inherit::take(FIRST_FD + count)?);
    lifeline.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listeners = listeners.into_iter().map(Listener::new);
        serve(
            listeners.collect::<io::Result<_>>()?,
            UnixStream::from_std(lifeline)?,
            no_worker(retry_after),
        )
        .await;
        Ok(())
    })
}

fn number(name: &str) -> io::Result<u32> {
    let text = std::env::var(name).unwrap_or_default();
    let invalid = |_| io::Error::other(format!("{name} is {text:?}, expected a number"));
    text.parse().map_err(invalid)
}

fn no_worker(retry_after: u32) -> Arc<Problem> {
    let detail = "no worker can serve, because they keep dying; the log of the server says why";
    Arc::new(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_worker", detail).retry_after(retry_after))
}

/// Refuses until the master's end of the lifeline is closed, then ends the answers that are under way.
async fn serve(listeners: Vec<Listener>, lifeline: UnixStream, problem: Arc<Problem>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        acceptors.spawn(accept(listener, Arc::clone(&room), Arc::clone(&problem)));
    }
    let (mut from_master, to_master) = lifeline.into_split();
    let beats = async {
        let mut interval = tokio::time::interval(BEAT_INTERVAL);
        loop {
            interval.tick().await;
            // A master that reads nothing hangs itself, and one that is gone ends the other branch.
            let _taken = to_master.try_write(b".");
        }
    };
    tokio::select! {
        // The master writes nothing: whatever is read is the end.
        _end = from_master.read_u8() => {}
        () = beats => {}
    }
    acceptors.shutdown().await;
    let _in_time = tokio::time::timeout(PATIENCE, room.acquire_many(MAX_CONNECTIONS)).await;
}

async fn accept(listener: Listener, room: Arc<Semaphore>, problem: Arc<Problem>) {
    loop {
        let Ok(stream) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let problem = Arc::clone(&problem);
        tokio::spawn(async move {
            refuse(stream, &problem).await;
            drop(permit);
        });
    }
}

async fn refuse(mut stream: Stream, problem: &Problem) {
    let mut first = Vec::with_capacity(1024);
    let spoken = tokio::time::timeout(PATIENCE, listen(&mut stream, &mut first)).await;
    match spoken {
        Ok(Ok(Spoken::Http1)) => {
            let answer = problem.to_http1();
            let written = tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await;
            if matches!(written, Ok(Ok(()))) {
                linger(stream).await;
            }
        }
        Ok(Ok(Spoken::Http2)) => {
            let _in_time = tokio::time::timeout(PATIENCE, refuse_http2(stream, first, problem)).await;
        }
        Ok(Ok(Spoken::Other) | Err(_)) | Err(_) => {}
    }
}

/// Reads until it is clear what the client speaks.
async fn listen(stream: &mut Stream, first: &mut Vec<u8>) -> io::Result<Spoken> {
    loop {
        if stream.read_buf(first).await? == 0 {
            return Ok(Spoken::Other);
        }
        if let Some(spoken) = spoken(first) {
            return Ok(spoken);
        }
    }
}

/// What a client speaks that began with these bytes; `None` when more bytes are needed to tell.
fn spoken(first: &[u8]) -> Option<Spoken> {
    if first.starts_with(HTTP2_PREFACE) {
        return Some(Spoken::Http2);
    }
    if HTTP2_PREFACE.starts_with(first) {
        return None;
    }
    // Empty lines before a request are none of it.
    let empty = first
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let line = &first[empty..];
    match line.iter().position(|byte| *byte == b'\n') {
        Some(end) if line[..end].ends_with(b" HTTP/1.1\r") => Some(Spoken::Http1),
        Some(end) if line[..end].ends_with(b" HTTP/1.0\r") => Some(Spoken::Http1),
        Some(_) => Some(Spoken::Other),
        None if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\r') => Some(Spoken::Other),
        None if first.len() > MAX_FIRST_LINE => Some(Spoken::Other),
        None => None,
    }
}

/// Answers the streams that begin, and tells the client to go away after the first.
async fn refuse_http2(stream: Stream, first: Vec<u8>, problem: &Problem) {
    let answered = Arc::new(Notify::new());
    let service = service_fn(|_request| {
        answered.notify_one();
        let answer = problem.clone().into_response();
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let (reader, writer) = tokio::io::split(stream);
    let whole = tokio::io::join(io::Cursor::new(first).chain(reader), writer);
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(whole), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        () = answered.notified() => connection.as_mut().graceful_shutdown(),
        _over = connection.as_mut() => return,
    }
    let _over = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_recognised_by_its_first_line_and_as_early_as_possible() {
        let http1 = Some(Spoken::Http1);
        let other = Some(Spoken::Other);
        for (first, expected) in [
            (&b""[..], None),
            (b"G", None),
            (b"GET / HTTP/1.1", None),
            (b"GET / HTTP/1.1\r", None),
            (b"GET / HTTP/1.1\r\n", http1),
            (b"\r\n\r\nPOST /x HTTP/1.0\r\nHost: a", http1),
            (b"GET /\r\n", other),
            (b"GET / HTTP/1.1\n", other),
            (b"GET / HTTP/3.0\r\n", other),
            (b"EHLO example.org\r\n", other),
            (b"\x16\x03\x01", other),
            (b"PRI", None),
            (b"PRI * HTTP/2.0\r\n\r\n", None),
            (HTTP2_PREFACE, Some(Spoken::Http2)),
            (b"PRI * HTTP/2.0\r\n\r\nXX", other),
        ] {
            assert_eq!(spoken(first), expected, "{:?}", String::from_utf8_lossy(first));
        }
        assert_eq!(spoken(&[b'a'; MAX_FIRST_LINE + 1]), other);
    }
}
