//! A connection after its switch to another protocol (`Upgrade:`). The application holds one end, on any
//! thread. The connection's own task holds the other: it waits for the application, cuts what is left at
//! the end of a drain or takes nothing for too long, and closes without a reset. It must not know the
//! protocol.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Connections;
use super::finish::linger;
use super::overdue::Overdue;
use super::shared::Connection;
use super::state::{ConnectionEvent, ConnectionOrder, ConnectionPhase};
use super::upgraded_socket::{ApplicationEnd, UpgradedSocket, was_cut};
use super::wire::Wire;
use crate::scoreboard::{Board, Counter};

/// What hyper serves HTTP/1.1 on, and what the application gets of hyper after a switch.
#[derive(Debug)]
pub(in crate::worker) enum SwitchableWire {
    /// The connection speaks HTTP/1.1.
    Http(Wire),
    /// The connection has switched to another protocol.
    Upgraded(ApplicationEnd),
    /// Between the two, inside one call.
    Taken,
}

impl SwitchableWire {
    /// The wire, unless the connection has switched.
    pub(in crate::worker) fn into_http(self) -> Option<Wire> {
        match self {
            SwitchableWire::Http(wire) => Some(wire),
            SwitchableWire::Upgraded(_) | SwitchableWire::Taken => None,
        }
    }

    /// The whole answer that switches is with the kernel: shares the socket between the task of the
    /// connection and the application, before the application can have it.
    fn switch(&mut self, task: &Waker) {
        if let SwitchableWire::Http(wire) = std::mem::replace(self, SwitchableWire::Taken) {
            let connection = wire.connection();
            let (stream, early) = wire.into_raw();
            let socket = Arc::new(UpgradedSocket::new(stream, early, task.clone()));
            connection.share(Arc::clone(&socket));
            *self = SwitchableWire::Upgraded(ApplicationEnd::new(socket));
        }
    }
}

/// An upgraded connection, counted until it is dropped.
struct CountedUpgrade(Board);

impl CountedUpgrade {
    fn new(board: Board) -> CountedUpgrade {
        board.counters().add(Counter::UpgradedOpen);
        CountedUpgrade(board)
    }
}

impl Drop for CountedUpgrade {
    fn drop(&mut self) {
        self.0.counters().sub(Counter::UpgradedOpen);
    }
}

/// How the time of an upgraded connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpgradeEnd {
    /// The application has dropped its end.
    GivenUp,
    /// The client took nothing for too long.
    Stalled,
    /// The worker ordered the connection to be cut.
    Cut,
}

/// Watches an upgraded connection to its end, and closes it.
pub(in crate::worker) async fn serve(
    socket: Arc<UpgradedSocket>,
    connection: &Connection,
    connections: &Connections,
    board: Board,
) {
    let counted = CountedUpgrade::new(board);
    let mut unsent = usize::MAX;
    let end = poll_fn(|_cx| {
        let order = connection.state().order();
        if order == ConnectionOrder::Cut {
            return Poll::Ready(UpgradeEnd::Cut);
        }
        report(&socket, connection, &mut unsent);
        if socket.lock().is_given_up() {
            return Poll::Ready(UpgradeEnd::GivenUp);
        }
        match connections.overdue(connection, &connection.state()) {
            Some(Overdue::Stall) => Poll::Ready(UpgradeEnd::Stalled),
            Some(Overdue::Head | Overdue::Silence | Overdue::Abandoned) | None => Poll::Pending,
        }
    })
    .await;
    connection.on(ConnectionEvent::ServingEnded);
    drop(counted);
    match (end, socket.take()) {
        (UpgradeEnd::Stalled, Some((stream, _))) => stream.abort(),
        (UpgradeEnd::GivenUp, Some((stream, false))) => linger(stream).await,
        (UpgradeEnd::GivenUp | UpgradeEnd::Cut, _) | (UpgradeEnd::Stalled, None) => {}
    }
}

/// Reports to the state of the connection whether the client takes what there is for it. The application
/// may write on another thread, and the state belongs to this one.
fn report(socket: &UpgradedSocket, connection: &Connection, unsent: &mut usize) {
    let state = connection.state();
    let Some(left) = socket.lock().blocked_bytes() else {
        if state.is_write_blocked() {
            connection.on(ConnectionEvent::BytesLeft);
        }
        return;
    };
    if state.is_write_blocked() && !state.is_timeout_suspected() {
        return;
    }
    // A slow client may take bytes for long before the kernel reports room.
    if state.is_write_blocked() && left < *unsent {
        connection.on(ConnectionEvent::BytesLeft);
    }
    connection.on(ConnectionEvent::WriteBlocked);
    *unsent = left;
}

impl AsyncRead for SwitchableWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            SwitchableWire::Http(wire) => Pin::new(wire).poll_read(cx, buf),
            SwitchableWire::Upgraded(end) => end.lock().poll_read(cx, buf),
            SwitchableWire::Taken => Poll::Ready(Err(was_cut())),
        }
    }
}

impl AsyncWrite for SwitchableWire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            SwitchableWire::Http(wire) => Pin::new(wire).poll_write(cx, buf),
            SwitchableWire::Upgraded(end) => {
                let mut shared = end.lock();
                shared.poll_write_with(cx, |stream, cx| stream.poll_write(cx, buf))
            }
            SwitchableWire::Taken => Poll::Ready(Err(was_cut())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let SwitchableWire::Http(wire) = &mut *self else {
            // Every byte was handed to the kernel when it was written.
            return Poll::Ready(Ok(()));
        };
        ready!(Pin::new(&mut *wire).poll_flush(cx))?;
        if wire.phase() == ConnectionPhase::Upgraded {
            self.switch(cx.waker());
        }
        Poll::Ready(Ok(()))
    }

    /// hyper ends HTTP/1.1 without a word on the wire: what is to be said last, the connection's task says.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let SwitchableWire::Upgraded(end) = &mut *self else {
            return Poll::Ready(Ok(()));
        };
        end.lock().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            SwitchableWire::Http(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            SwitchableWire::Upgraded(end) => {
                let mut shared = end.lock();
                shared.poll_write_with(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
            }
            SwitchableWire::Taken => Poll::Ready(Err(was_cut())),
        }
    }
}
