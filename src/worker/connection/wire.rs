//! The bytes of a connection on their way to and from hyper. The wire reports them to the state of the
//! connection. It holds back the bare answer that hyper would give to a request it cannot read, so that a
//! problem document goes out instead. And it looks at the first bytes of a connection, which say whether it
//! is HTTP/2; hyper's HTTP/1.1 reads none of it then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipeline::Pipeline;
use super::preface::{Detection, ProtocolDetector};
use super::shared::Connection;
use super::state::{ConnectionEvent, ConnectionPhase};
use crate::worker::accept::listener::Stream;

/// The status code lies here in `HTTP/1.1 400 Bad Request`.
const STATUS: std::ops::Range<usize> = 9..12;

/// Why a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Unreadable {
    /// hyper wanted to answer this status without asking the service.
    Refused(u16),
    /// A line does not end with CR LF.
    BareLineFeed,
}

/// A stream that tells its connection what happens on it.
#[derive(Debug)]
pub(in crate::worker) struct Wire {
    stream: Stream,
    connection: Arc<Connection>,
    /// The client has closed its side.
    has_ended: bool,
    /// The client's end of file is being withheld from hyper.
    end_is_withheld: bool,
    /// HTTP/2: bytes were given to hyper that it may not have made requests of yet.
    has_fresh_bytes: bool,
    /// The request that could not be read.
    unreadable: Option<Unreadable>,
    detector: ProtocolDetector,
    is_http2: bool,
    pipeline: Pipeline,
    /// The number of bytes that the kernel held for the client when it was looked at last.
    unsent: usize,
}

impl Wire {
    pub(in crate::worker) fn new(stream: Stream, connection: Arc<Connection>) -> Wire {
        Wire {
            stream,
            connection,
            has_ended: false,
            end_is_withheld: false,
            has_fresh_bytes: false,
            unreadable: None,
            detector: ProtocolDetector::new(),
            is_http2: false,
            pipeline: Pipeline::new(),
            unsent: 0,
        }
    }

    /// Reads. Before a connection is closed, the kernel itself is asked whether there is anything, because
    /// the runtime may not have heard of it yet.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_pending() && self.connection.state().is_about_to_close() {
            return match self.stream.read_now(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                read => Poll::Ready(read),
            };
        }
        polled
    }

    /// Reports a write.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(_) => drop(self.connection.on(ConnectionEvent::BytesLeft)),
            Poll::Pending => self.blocked(),
        }
        written
    }

    /// The kernel reports room only when much of it is free, so a slow client may take bytes all the time
    /// unnoticed. Before such a client is taken for stalled, the wire looks at what the kernel still holds
    /// for it.
    fn blocked(&mut self) {
        let before = self.connection.on(ConnectionEvent::WriteBlocked);
        let is_first = !before.is_write_blocked();
        if !is_first && !before.is_timeout_suspected() {
            return;
        }
        let unsent = self.stream.unsent().unwrap_or(0);
        if !is_first && unsent < self.unsent {
            self.connection.on(ConnectionEvent::BytesLeft);
            self.connection.on(ConnectionEvent::WriteBlocked);
        }
        self.unsent = unsent;
    }

    /// The client has closed its side.
    pub(in crate::worker) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The last request, if it could not be read.
    pub(in crate::worker) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable
    }

    /// How many bytes of the body are to come that the last request announced.
    pub(in crate::worker) fn missing_body_bytes(&self) -> u64 {
        self.pipeline.missing_body_bytes()
    }

    pub(in crate::worker) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// The client has closed its side. It may still read (`nc -N` does), but hyper would take it for gone and
    /// drop what it owes. So hyper hears of the end when every answer is with the kernel. An HTTP/1.1 request
    /// that did not arrive whole gets no answer, so hyper hears of that end at once. A client that is really
    /// gone costs the time of its handlers, as with gunicorn and Node.
    fn withhold_end(&mut self) -> bool {
        self.end_is_withheld =
            self.connection.state().owes_an_answer() && (self.is_http2 || !self.pipeline.misses_body());
        self.end_is_withheld
    }

    /// Reads, unless nothing more is to come: the client has closed its side, or nothing more is looked at.
    fn poll_input(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pipeline.is_held() {
            return Poll::Pending;
        }
        if !self.has_ended && !self.pipeline.is_broken() {
            let before = buf.filled().len();
            ready!(self.poll_stream(cx, buf))?;
            if buf.filled().len() > before || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            self.has_ended = true;
            self.connection.on(ConnectionEvent::InputEnded);
        }
        if self.withhold_end() {
            return Poll::Pending;
        }
        if std::mem::take(&mut self.has_fresh_bytes) {
            // hyper reads on before it asks the service, and forgets the requests that it has read when it
            // meets the end.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Reports bytes that were read: HTTP/1.1 gets them, or the reader of HTTP/2, or the detector has kept
    /// them.
    ///
    /// The number of those that may be looked at.
    fn arrived(&mut self, bytes: &[u8]) -> usize {
        if self.is_http2 {
            self.has_fresh_bytes = true;
            self.connection.on(ConnectionEvent::BytesArrived { begun: None });
            return bytes.len();
        }
        let taken = self.pipeline.feed(bytes);
        if self.pipeline.has_broken_head() {
            self.unreadable = Some(Unreadable::BareLineFeed);
        }
        let begun = self.pipeline.begun();
        self.connection.on(ConnectionEvent::BytesArrived { begun });
        taken
    }

    /// Leaves those of the bytes behind the first `before` to hyper that may be looked at. Whether there are
    /// any.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let taken = self.arrived(&buf.filled()[before..]);
        if self.pipeline.is_held() {
            self.detector.keep(&buf.filled()[before + taken..]);
        }
        buf.set_filled(before + taken);
        taken > 0
    }

    pub(in crate::worker) fn into_stream(self) -> Stream {
        self.stream
    }

    pub(in crate::worker) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    pub(in crate::worker) fn phase(&self) -> ConnectionPhase {
        self.connection.state().phase()
    }

    /// The stream, and what the client sent behind the request that switches to another protocol.
    pub(in crate::worker) fn into_raw(self) -> (Stream, Vec<u8>) {
        (self.stream, self.detector.into_kept())
    }

    /// A request that wanted another protocol has its answer, and nothing was switched: what was held back
    /// behind the request is HTTP.
    fn release(&mut self, cx: &Context<'_>) {
        if !self.pipeline.is_held() {
            return;
        }
        let state = self.connection.state();
        let is_answered = !state.has_more_requests() && !state.owes_an_answer();
        if is_answered && state.phase() != ConnectionPhase::Upgraded {
            self.pipeline.resume();
            // hyper reads again only when it is polled again.
            cx.waker().wake_by_ref();
        }
    }

    /// While no request is with the service, what hyper writes is its own answer to a request that it cannot
    /// read. That answer is withheld.
    fn withhold(&mut self, bytes: &[u8]) -> bool {
        let is_hypers_own = !self.is_http2
            && matches!(
                self.connection.state().phase(),
                ConnectionPhase::Idle | ConnectionPhase::Reading { .. }
            );
        if is_hypers_own && self.unreadable.is_none() {
            let status = bytes
                .get(STATUS)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            let status = status.and_then(|digits| digits.parse().ok()).unwrap_or(400);
            self.unreadable = Some(Unreadable::Refused(status));
        }
        is_hypers_own
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if !self.pipeline.is_held() && self.detector.give_back(buf) && self.hand_over(buf, before) {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_input(cx, buf))?;
            match self.detector.look(buf, before) {
                Detection::Http1 => {
                    let is_end = buf.filled().len() == before;
                    if is_end || self.hand_over(buf, before) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Detection::Undecided => drop(self.arrived(&[])),
                Detection::Http2 => {
                    // Nobody needs to be woken: the task that polls hyper looks at the wire next.
                    self.is_http2 = true;
                    self.connection.on(ConnectionEvent::PrefaceArrived);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.withhold(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.connection.on(ConnectionEvent::Flushed);
        self.release(cx);
        if self.end_is_withheld && !self.withhold_end() {
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
        if self.withhold(bufs.first().map_or(&[][..], |first| &first[..])) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }
}
