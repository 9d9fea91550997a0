//! A connection's bytes on their way to and from hyper: it watches them to know the connection's phase, and holds back the bare
//! answer hyper would give to a request it cannot read, so that a problem document goes out instead. And it looks at a
//! connection's first bytes, which say whether it is HTTP/2; no byte is read by hyper's HTTP/1.1 then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Connections;
use super::pipeline::Pipeline;
use super::preface::{Look, Opening};
use super::state::{Connection, Phase};
use crate::worker::accept::listener::Stream;

/// The status code lies here in `HTTP/1.1 400 Bad Request`.
const STATUS: std::ops::Range<usize> = 9..12;

/// A stream that knows what its bytes mean for the connection.
#[derive(Debug)]
pub(in crate::worker) struct Wire {
    stream: Stream,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    ended: bool,
    /// hyper has not heard yet that it has.
    held_back: bool,
    rejected: Option<u16>,
    opening: Opening,
    pipeline: Pipeline,
    /// How much the kernel held for the client when it was looked at last.
    unsent: usize,
}

impl Wire {
    pub(in crate::worker) fn new(
        stream: Stream,
        connection: Arc<Connection>,
        connections: Arc<Connections>,
    ) -> Wire {
        Wire {
            stream,
            connection,
            connections,
            ended: false,
            held_back: false,
            rejected: None,
            opening: Opening::new(),
            pipeline: Pipeline::new(),
            unsent: 0,
        }
    }

    /// Reads. A connection that is about to be closed is asked of the kernel itself whether there is anything, because the
    /// runtime may not have heard yet.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_pending() && self.connection.is_leaving() {
            return match self.stream.read_now(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                read => Poll::Ready(read),
            };
        }
        polled
    }

    /// Keeps the books about a write.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now_ms = self.connections.coarse_ms();
        match &written {
            Poll::Ready(_) => self.connection.bytes_left(now_ms),
            Poll::Pending => self.blocked(now_ms),
        }
        written
    }

    /// The kernel says that there is room only when much of it is free, so a slow client may take bytes all the time without a
    /// word of it: before it is taken for stalled, what the kernel still holds for it is looked at.
    fn blocked(&mut self, now_ms: u64) {
        let first = self.connection.blocked(now_ms);
        if !first && !self.connection.is_hurried() {
            return;
        }
        let unsent = self.stream.unsent().unwrap_or(0);
        if !first && unsent < self.unsent {
            self.connection.bytes_left(now_ms);
            self.connection.blocked(now_ms);
        }
        self.unsent = unsent;
    }

    /// The client has closed its side.
    pub(in crate::worker) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The status hyper wanted to answer without asking the service: the request could not be read.
    pub(in crate::worker) fn rejected(&self) -> Option<u16> {
        self.rejected
    }

    /// How long the rest of the body is that the last request announced.
    pub(in crate::worker) fn awaited(&self) -> u64 {
        self.pipeline.awaited()
    }

    /// A client that has closed its side after a whole request may still read (`nc -N` does): hyper would take it for gone and
    /// drop the handler, so it hears of the end when it asks for the next request. A client that is really gone costs its
    /// handler's time, as with gunicorn and Node. Once an answer streams, its end counts at once, as nobody else would end that.
    fn is_owed_an_answer(&self) -> bool {
        !self.connection.is_shared()
            && self.connection.phase() == Phase::Handling
            && self.pipeline.is_complete()
    }

    /// HTTP/1.1 gets these bytes.
    fn count(&mut self, bytes: &[u8]) {
        if !self.connection.is_shared() {
            self.pipeline.feed(bytes);
            self.connection.begun(self.pipeline.begun().unwrap_or(0));
        }
    }

    pub(in crate::worker) fn into_stream(self) -> Stream {
        self.stream
    }

    /// No service was asked, so what hyper writes now is its own answer to a request it cannot read. It is kept back.
    fn keep_back(&mut self, bytes: &[u8]) -> bool {
        let silent = matches!(self.connection.phase(), Phase::Idle | Phase::Reading);
        let own = silent && !self.connection.is_shared();
        if own && self.rejected.is_none() {
            let status = bytes
                .get(STATUS)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            self.rejected = Some(status.and_then(|digits| digits.parse().ok()).unwrap_or(400));
        }
        own
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.opening.give_back(buf) {
            self.count(&buf.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_stream(cx, buf))?;
            if buf.filled().len() > before {
                self.connection.bytes_arrived(self.connections.coarse_ms());
            } else if buf.remaining() > 0 {
                self.ended = true;
                self.held_back = self.is_owed_an_answer();
                if self.held_back {
                    return Poll::Pending;
                }
            }
            match self.opening.look(buf, before) {
                Look::Http1 => {
                    self.count(&buf.filled()[before..]);
                    return Poll::Ready(Ok(()));
                }
                Look::More => {}
                Look::Http2 => {
                    // Nobody needs to be woken: whoever polls hyper looks at the connection next.
                    self.connection.share();
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.keep_back(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.connection.flushed();
        if self.held_back && !self.is_owed_an_answer() {
            self.held_back = false;
            // hyper reads again only when it is polled again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keep_back(bufs.first().map_or(&[][..], |first| &first[..])) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }
}
