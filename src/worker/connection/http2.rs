//! Serves HTTP/2 by prior knowledge, with hyper. A drain need not wait for silence here: hyper's graceful
//! shutdown sends GOAWAY twice, first with the highest stream number there can be, then, when the client has
//! answered a PING and so knows of it, with the last stream that came. Everything that the client sent before
//! it knew is answered.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Connections;
use super::overdue::{ConnectionEnd, Overdue};
use super::shared::Connection;
use super::state::{ConnectionEvent, ConnectionOrder};
use super::wire::Wire;
use crate::config::HttpSettings;
use crate::worker::request::body::Protocol;
use crate::worker::request::edge::{ConnectionService, Edge};

/// hyper's builder of HTTP/2 connections.
pub(in crate::worker) type Builder = http2::Builder<TokioExecutor>;

/// The number of bytes of an answer that wait in memory for a client that does not take them.
const SEND_BUFFER: usize = 64 * 1024;

/// The limits of HTTP/2. Where a limit is not set, hyper's own holds (of streams that were reset before they
/// were taken, say).
///
/// h2 answers a head that is too long by a bare 431, which a client of gRPC has to guess at. Where
/// `edge_answers`, h2 lets heads of twice the length pass, and the edge refuses them.
pub(in crate::worker) fn builder(limits: &HttpSettings, edge_answers: bool) -> Builder {
    let longest = limits
        .max_header_bytes
        .saturating_mul(1 + usize::from(edge_answers));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(limits.max_streams);
    builder.max_header_list_size(u32::try_from(longest).unwrap_or(u32::MAX));
    builder.max_send_buf_size(SEND_BUFFER);
    builder
}

/// Serves a connection whose preface was seen to its end, and gives its wire back.
pub(in crate::worker) async fn serve(
    builder: &Builder,
    wire: Wire,
    connection: &Arc<Connection>,
    connections: &Connections,
    edge: &Arc<Edge>,
) -> (Wire, ConnectionEnd) {
    let wire = Arc::new(Mutex::new(wire));
    let lent = TokioIo::new(LentWire(Arc::clone(&wire)));
    let service = ConnectionService::new(Arc::clone(edge), Arc::clone(connection), Protocol::Http2);
    let mut http = Box::pin(builder.serve_connection(lent, service));
    let mut was_told = false;
    let end = poll_fn(|cx| {
        connection.remember(cx.waker());
        let order = connection.state().order();
        if order == ConnectionOrder::Cut {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        if connection.is_too_old() {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        if order == ConnectionOrder::Finish || edge.worker.is_draining() || connection.is_old() {
            http.as_mut().graceful_shutdown();
        }
        loop {
            // An error is the client's doing, and the client has been told.
            if http.as_mut().poll(cx).is_ready() {
                return Poll::Ready(ConnectionEnd::Over);
            }
            let state = connection.state();
            // The client has not even answered a PING.
            if order == ConnectionOrder::Finish && state.phase().is_silent() {
                return Poll::Ready(ConnectionEnd::Dismissed);
            }
            match connections.overdue(connection, &state) {
                None => return Poll::Pending,
                // The client is told by GOAWAY and asked by PING. If it stays silent for as long again, it is
                // not told.
                Some(Overdue::Silence) if !was_told => {
                    was_told = true;
                    connection.on(ConnectionEvent::TimeoutRefuted);
                    http.as_mut().graceful_shutdown();
                }
                Some(overdue) => return Poll::Ready(ConnectionEnd::Late(overdue)),
            }
        }
    })
    .await;
    drop(http);
    let wire = Arc::into_inner(wire).expect("hyper keeps the wire in its connection, which is dropped");
    (wire.into_inner().unwrap_or_else(PoisonError::into_inner), end)
}

/// hyper does not give back what it served HTTP/2 on, but the wire is needed to close the connection. So
/// hyper borrows it.
struct LentWire(Arc<Mutex<Wire>>);

impl LentWire {
    /// Never waits: only the connection's own task locks the wire.
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for LentWire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_read(cx, buf)
    }
}

impl AsyncWrite for LentWire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire()).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire().is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.wire()).poll_write_vectored(cx, bufs)
    }
}
