//! Serves one connection from its first byte to its last: HTTP/1.1 by hyper, the worker's orders, and an end
//! without a reset. HTTP/2 by prior knowledge branches off here: when the wire has seen its preface, before
//! hyper was given a byte.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;

use super::connections::{ConnectionGuard, Connections};
use super::finish::finish;
use super::http2;
use super::overdue::ConnectionEnd;
use super::shared::Connection;
use super::state::{ConnectionEvent, ConnectionOrder, ConnectionPhase};
use super::upgraded::{self, SwitchableWire};
use super::wire::Wire;
use crate::config::HttpSettings;
use crate::worker::accept::listener::Stream;
use crate::worker::request::body::Protocol;
use crate::worker::request::edge::{ConnectionService, Edge};

/// hyper takes no smaller buffer.
const SMALLEST_BUFFER: usize = 8192;

/// How connections are served, for each protocol.
#[derive(Clone)]
pub(in crate::worker) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder,
}

impl Protocols {
    /// `edge_answers`: see [`http2::builder`].
    pub(in crate::worker) fn new(limits: &HttpSettings, edge_answers: bool) -> Protocols {
        Protocols {
            http1: http1(limits),
            http2: http2::builder(limits, edge_answers),
        }
    }
}

/// How HTTP/1.1 is served. hyper's `header_read_timeout` is not used, because it also runs between requests
/// and would close idle connections under the client's next request; [`Connections::beat`] times heads from
/// their first byte.
fn http1(limits: &HttpSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.max_header_bytes.max(SMALLEST_BUFFER));
    builder.max_header_size(limits.max_header_bytes);
    builder.header_read_timeout(None);
    builder
}

/// Serves one connection to its end.
pub(in crate::worker) async fn drive(
    protocols: Protocols,
    stream: Stream,
    guard: ConnectionGuard,
    connections: Arc<Connections>,
    edge: Arc<Edge>,
) {
    let connection = Arc::clone(&guard.connection);
    let wire = Wire::new(stream, Arc::clone(&connection));
    let (wire, end) = serve_http1(&protocols.http1, wire, &connection, &connections, &edge).await;
    let Some(wire) = wire else {
        if let Some(socket) = connection.upgraded() {
            let board = edge.worker.board().clone();
            upgraded::serve(socket, &connection, &connections, board).await;
        }
        return drop(guard);
    };
    let (wire, end) = if wire.is_http2() {
        http2::serve(&protocols.http2, wire, &connection, &connections, &edge).await
    } else {
        (wire, end)
    };
    connection.on(ConnectionEvent::ServingEnded);
    finish(wire, end, &edge).await;
    drop(guard);
}

/// Serves HTTP/1.1 to its end, or until the wire has seen that the client speaks HTTP/2. The wire is gone
/// if a handler has switched to another protocol.
async fn serve_http1(
    builder: &http1::Builder,
    wire: Wire,
    connection: &Arc<Connection>,
    connections: &Connections,
    edge: &Arc<Edge>,
) -> (Option<Wire>, ConnectionEnd) {
    let service = ConnectionService::new(Arc::clone(edge), Arc::clone(connection), Protocol::Http1);
    let io = TokioIo::new(SwitchableWire::Http(wire));
    let mut http = builder.serve_connection(io, service).with_upgrades();
    let end = poll_fn(|cx| {
        connection.remember(cx.waker());
        let state = connection.state();
        match (state.order(), state.phase()) {
            (ConnectionOrder::Cut, _) => return Poll::Ready(ConnectionEnd::Cut),
            // hyper would drop the rest of a request that has begun to arrive. The rest is waited for, and
            // the answer closes.
            (ConnectionOrder::Serve, _)
            | (
                ConnectionOrder::Finish,
                ConnectionPhase::Idle | ConnectionPhase::Reading { .. } | ConnectionPhase::Upgraded,
            ) => {}
            (ConnectionOrder::Finish, _) => Pin::new(&mut http).graceful_shutdown(),
        }
        match Pin::new(&mut http).poll(cx) {
            // An error is the client's doing, or hyper's answer to an unreadable request, which the wire has
            // kept.
            Poll::Ready(_done) => Poll::Ready(ConnectionEnd::Over),
            Poll::Pending => end_while_waiting(connection, connections),
        }
    })
    .await;
    let wire = http
        .into_parts()
        .and_then(|parts| parts.io.into_inner().into_http());
    (wire, end)
}

/// hyper waits. Everything that had arrived has been read by now, so a client that looks silent really is.
fn end_while_waiting(connection: &Connection, connections: &Connections) -> Poll<ConnectionEnd> {
    let state = connection.state();
    if state.phase().is_multiplexed() {
        return Poll::Ready(ConnectionEnd::Over);
    }
    if let Some(overdue) = connections.overdue(connection, &state) {
        return Poll::Ready(ConnectionEnd::Late(overdue));
    }
    if state.order() == ConnectionOrder::Finish && state.phase().is_silent() {
        return Poll::Ready(ConnectionEnd::Dismissed);
    }
    Poll::Pending
}
