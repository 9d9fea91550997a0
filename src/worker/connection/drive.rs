//! Serving one connection from its first byte to its last: HTTP/1.1 by hyper, orders from outside, and an end without a reset.
//! HTTP/2 by prior knowledge branches off here: when the wire has seen its preface, before hyper was given a byte.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connections::{Connections, Seat};
use super::http2;
use super::overdue::Overdue;
use super::state::{Order, Phase};
use super::wire::Wire;
use crate::config::{HttpSettings, duration};
use crate::http::Problem;
use crate::scoreboard::Counter;
use crate::worker::accept::listener::Stream;
use crate::worker::request::edge::{ConnectionService, Edge};

/// What a client sends after everything is said is read at most this long,
const LINGER: Duration = Duration::from_secs(1);
/// and at most this much of it: the rest of a body that was refused for its length. It is thrown away as it is read.
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// hyper takes no smaller buffer.
const SMALLEST_BUFFER: usize = 8192;

/// How connections are served, by what they begin with.
#[derive(Clone)]
pub(in crate::worker) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder,
}

impl Protocols {
    pub(in crate::worker) fn new(limits: &HttpSettings) -> Protocols {
        Protocols {
            http1: http1(limits),
            http2: http2::builder(limits),
        }
    }
}

/// How HTTP/1.1 is served. hyper's `header_read_timeout` is not used, because it also runs between requests and would close
/// idle connections under the client's next request; [`Connections::beat`] times heads from their first byte.
fn http1(limits: &HttpSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.max_header_bytes.max(SMALLEST_BUFFER));
    builder.max_header_size(limits.max_header_bytes);
    builder.header_read_timeout(None);
    builder
}

/// How serving ended.
pub(in crate::worker) enum End {
    /// The conversation is over: by the client, by an error, or by an answer with `Connection: close`.
    Over,
    /// A silent connection was told to finish.
    Dismissed,
    /// It kept the worker waiting too long.
    Late(Overdue),
    /// Cut.
    Cut,
    /// It is no HTTP/1.1 at all: not a byte was given to hyper.
    Http2,
}

/// Serves one connection to its end.
pub(in crate::worker) async fn drive(
    protocols: Protocols,
    stream: Stream,
    seat: Seat,
    connections: Arc<Connections>,
    edge: Arc<Edge>,
) {
    let connection = Arc::clone(&seat.connection);
    let wire = Wire::new(stream, Arc::clone(&connection), Arc::clone(&connections));
    let service = ConnectionService::new(Arc::clone(&edge), Arc::clone(&connection));
    let mut http = protocols.http1.serve_connection(TokioIo::new(wire), service);
    let end = poll_fn(|cx| {
        connection.remember(cx.waker());
        match (connection.order(), connection.phase()) {
            (Order::Serve, _) | (Order::Finish, Phase::Idle | Phase::Reading) => {}
            // Of what has begun to arrive hyper would drop the rest: it is waited for, and its answer closes.
            (Order::Finish, Phase::Handling | Phase::Writing | Phase::Closing) => {
                Pin::new(&mut http).graceful_shutdown();
            }
            (Order::Cut, _) => return Poll::Ready(End::Cut),
        }
        // An error is the client's doing (or hyper's word on an unreadable request, which the wire has kept): nobody to tell.
        match http.poll_without_shutdown(cx) {
            Poll::Ready(_done) => Poll::Ready(End::Over),
            Poll::Pending if connection.is_shared() => Poll::Ready(End::Http2),
            // Whatever had arrived has been read by now: what is silent still is really so.
            Poll::Pending => match (
                connections.overdue(&connection),
                connection.order(),
                connection.phase(),
            ) {
                (Some(overdue), _, _) => Poll::Ready(End::Late(overdue)),
                (None, Order::Finish, Phase::Idle) => Poll::Ready(End::Dismissed),
                (None, _, _) => Poll::Pending,
            },
        }
    })
    .await;
    let (mut wire, mut end) = (http.into_parts().io.into_inner(), end);
    if matches!(end, End::Http2) {
        (wire, end) = http2::converse(&protocols.http2, wire, &connection, &connections, &edge).await;
    }
    connection.closing();
    finish(wire, end, &edge).await;
    drop(seat);
}

/// Says the last word, if one is owed, and closes.
async fn finish(wire: Wire, end: End, edge: &Edge) {
    let (client_is_gone, rejected, awaited) = (wire.has_ended(), wire.rejected(), wire.awaited());
    let mut stream = wire.into_stream();
    let last_word = match (end, rejected) {
        (End::Over, Some(status)) => Some(unreadable(status, awaited, &edge.worker.settings().http)),
        (End::Over | End::Http2 | End::Late(Overdue::Silence), None | Some(_)) => None,
        (End::Late(Overdue::Stall), _) => return stream.abort(),
        (End::Late(Overdue::Head), _) => {
            edge.worker.board().counters().add(Counter::HeaderTimeouts);
            Some(too_slow(&edge.worker.settings().http))
        }
        (End::Dismissed | End::Cut, _) => return,
    };
    if let Some(problem) = last_word {
        edge.worker
            .board()
            .counters()
            .add(Counter::of_status(problem.status().as_u16()));
        if let Some(routes) = &edge.routes {
            routes.count_refusal(problem.status());
        }
        // A client that does not take its answer does not get it.
        let _written = tokio::time::timeout(LINGER, stream.write_all(&problem.to_http1())).await;
    } else if client_is_gone {
        return;
    }
    linger(stream).await;
}

/// Closes without a reset: says that nothing more will come, then reads what the client still sends (requests it pipelined,
/// the rest of a body) until it closes, too. Closing with unread bytes would make the kernel send a reset, which can
/// overtake the answer on its way.
pub(in crate::worker) async fn linger(mut stream: Stream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drained = async {
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(bytes);
            if left == 0 {
                return;
            }
        }
    };
    // Over time or not, the connection ends here.
    let _in_time = tokio::time::timeout(LINGER, drained).await;
}

/// `awaited`: how long the body is that was announced.
fn unreadable(status: u16, awaited: u64, limits: &HttpSettings) -> Problem {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    match status {
        // hyper says the same of a length that it cannot count up to.
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if awaited > limits.max_body_bytes as u64 => {
            Problem::body_too_large(limits.max_body_bytes)
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let most = limits.max_header_bytes;
            let detail =
                format!("request line and headers are longer than {most} bytes (or more than 100 headers)");
            Problem::new(status, "headers_too_large", detail)
        }
        StatusCode::URI_TOO_LONG => Problem::new(status, "uri_too_long", "the request's target is too long"),
        other => Problem::new(other, "bad_request", "this is no request of HTTP/1.1"),
    }
}

fn too_slow(limits: &HttpSettings) -> Problem {
    let limit = duration::format(limits.header_read_timeout);
    let detail = format!("the request's head was not complete {limit} after its first byte");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "header_timeout", detail)
}
