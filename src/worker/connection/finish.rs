//! The end of a connection: the last answer, if one is owed, and a close that does not reset what is on its
//! way.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::overdue::{ConnectionEnd, Overdue};
use super::wire::{Unreadable, Wire};
use crate::config::{HttpSettings, duration};
use crate::http::Problem;
use crate::observe::RequestContext;
use crate::scoreboard::Counter;
use crate::worker::accept::listener::Stream;
use crate::worker::request::edge::{Edge, headers_too_large};

/// What a client sends after its last answer is read for at most this time.
const LINGER: Duration = Duration::from_secs(1);
/// What a client sends after its last answer (the rest of a body that was refused for its length) is read up
/// to this number of bytes. It is thrown away as it is read.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Sends the last answer, if one is owed, and closes.
pub(in crate::worker) async fn finish(wire: Wire, end: ConnectionEnd, edge: &Edge) {
    let limits = &edge.worker.settings().http;
    let (client_is_gone, missing) = (wire.has_ended(), wire.missing_body_bytes());
    let last_answer = match end {
        ConnectionEnd::Over => wire
            .unreadable()
            .map(|reason| unreadable(reason, missing, limits)),
        ConnectionEnd::Late(Overdue::Head) => Some(too_slow(limits)),
        ConnectionEnd::Late(Overdue::Silence) => None,
        ConnectionEnd::Late(Overdue::Stall | Overdue::Abandoned) => return wire.into_stream().abort(),
        ConnectionEnd::Dismissed | ConnectionEnd::Cut => return,
    };
    if matches!(end, ConnectionEnd::Late(Overdue::Head)) {
        edge.worker.board().counters().add(Counter::HeaderTimeouts);
    }
    let mut stream = wire.into_stream();
    match last_answer {
        Some(problem) => answer(&mut stream, &problem, edge).await,
        None if client_is_gone => return,
        None => {}
    }
    linger(stream).await;
}

/// Counts an answer that hyper does not write, and writes it.
async fn answer(stream: &mut Stream, problem: &Problem, edge: &Edge) {
    let class = Counter::of_status(problem.status().as_u16());
    edge.worker.board().counters().add(class);
    if let Some(routes) = &edge.routes {
        routes.count_refusal(problem.status());
    }
    // A client that does not take its answer does not get it.
    let bytes = RequestContext::made().run(|| problem.to_http1());
    let _written = tokio::time::timeout(LINGER, stream.write_all(&bytes)).await;
}

/// Closes without a reset: says that nothing more will come, then reads what the client still sends (requests
/// it pipelined, the rest of a body) until it closes, too. Closing with unread bytes would make the kernel
/// send a reset, which can overtake the answer on its way.
pub(in crate::worker) async fn linger(mut stream: Stream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    // In a box, because each open connection would keep room for it in its task.
    let drained = Box::pin(async {
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(bytes);
            if left == 0 {
                return;
            }
        }
    });
    // Over time or not, the connection ends here.
    let _in_time = tokio::time::timeout(LINGER, drained).await;
}

/// The answer to a request that cannot be read; of its body this number of bytes is missing.
fn unreadable(reason: Unreadable, missing: u64, limits: &HttpSettings) -> Problem {
    let status = match reason {
        Unreadable::Refused(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        Unreadable::BareLineFeed => return bare_line_feed(),
    };
    match status {
        // hyper says the same of a length that it cannot count up to.
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if missing > limits.max_body_bytes as u64 => {
            Problem::body_too_large(limits.max_body_bytes)
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => headers_too_large(limits.max_header_bytes),
        StatusCode::URI_TOO_LONG => Problem::new(status, "uri_too_long", "the request's target is too long"),
        other => Problem::new(other, "bad_request", "this is no request of HTTP/1.1"),
    }
}

/// The answer to a request with a line that does not end with CR LF.
pub(in crate::worker) fn bare_line_feed() -> Problem {
    let detail = "a line of the request ends with a line feed and no carriage return before it";
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}

fn too_slow(limits: &HttpSettings) -> Problem {
    let limit = duration::format(limits.header_read_timeout);
    let detail = format!("the request's head was not complete {limit} after its first byte");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "header_timeout", detail)
}
