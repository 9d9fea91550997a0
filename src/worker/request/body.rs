//! Bodies on their way through the edge: those of answers report when they are over, those of requests may
//! not be too long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body_util::{LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::scoreboard::{Board, Counter, RequestNote};
use crate::worker::connection::shared::Connection;
use crate::worker::connection::state::ConnectionEvent;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Protocol {
    Http1,
    Http2,
}

/// A request in flight: counted until it is dropped, which is when the body of its answer is over or given
/// up.
#[derive(Debug)]
pub(in crate::worker) struct InFlight {
    board: Board,
    connection: Arc<Connection>,
    /// Written down for the master, should this worker die with the request; the edge's own short answers are
    /// not.
    _noted: Option<RequestNote>,
}

impl InFlight {
    pub(in crate::worker) fn new(board: Board, connection: Arc<Connection>) -> InFlight {
        board.counters().add(Counter::InFlight);
        connection.on(ConnectionEvent::RequestTaken);
        InFlight {
            board,
            connection,
            _noted: None,
        }
    }

    /// Writes the request down for the master: its handler may take a while.
    pub(in crate::worker) fn note(&mut self, method: &Method, path: &str) {
        self._noted = self.board.note(method.as_str(), path);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.board.counters().sub(Counter::InFlight);
        self.connection.on(ConnectionEvent::AnswerOver);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(in crate::worker) struct AnswerBody {
    content: AnswerContent,
    in_flight: InFlight,
    protocol: Protocol,
    /// HTTP/2: the client has to make room before more of this body is asked for.
    waits: bool,
    /// The length was not known when the answer began, and then the answer has let its client wait: it is
    /// counted as a stream.
    is_stream: bool,
}

/// What an answer says.
#[derive(Debug)]
pub(in crate::worker) enum AnswerContent {
    /// The edge's own answer, at once.
    Short(Bytes),
    /// The application's answer.
    Routed(axum::body::Body),
}

impl AnswerContent {
    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerContent::Short(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerContent::Routed(body) => body.size_hint(),
        }
    }
}

impl AnswerBody {
    pub(in crate::worker) fn new(
        content: AnswerContent,
        in_flight: InFlight,
        protocol: Protocol,
    ) -> AnswerBody {
        let mut body = AnswerBody {
            content,
            is_stream: false,
            in_flight,
            protocol,
            waits: false,
        };
        body.set_waits(true);
        body
    }

    /// Only an answer of HTTP/2 can wait for its client while the socket is empty.
    fn set_waits(&mut self, waits: bool) {
        if self.protocol == Protocol::Http1 || self.waits == waits {
            return;
        }
        self.waits = waits;
        self.in_flight.connection.on(if waits {
            ConnectionEvent::AnswerWaits
        } else {
            ConnectionEvent::AnswerGoesOn
        });
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.set_waits(false);
        if self.is_stream {
            self.in_flight.board.counters().sub(Counter::StreamsOpen);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = match &mut self.content {
            AnswerContent::Short(bytes) if bytes.is_empty() => Poll::Ready(None),
            AnswerContent::Short(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            AnswerContent::Routed(body) => Pin::new(body).poll_frame(cx),
        };
        self.set_waits(frame.is_ready());
        if frame.is_pending() && !self.is_stream && self.content.size_hint().exact().is_none() {
            self.is_stream = true;
            self.in_flight.board.counters().add(Counter::StreamsOpen);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            AnswerContent::Short(bytes) => bytes.is_empty(),
            AnswerContent::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// What is known about the arrival of a request's body, besides what its reader knows.
#[derive(Debug, Default)]
pub(in crate::worker) struct BodyArrival {
    too_long: AtomicBool,
    awaited: AtomicBool,
}

impl BodyArrival {
    /// The body was longer than it may be.
    pub(in crate::worker) fn is_too_long(&self) -> bool {
        self.too_long.load(Relaxed)
    }

    /// The reader of the body waits for the client.
    pub(in crate::worker) fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }
}

/// A request's body that fails once it is longer than it may be.
#[derive(Debug)]
pub(in crate::worker) struct BoundedBody {
    body: Limited<Incoming>,
    arrival: Arc<BodyArrival>,
}

impl BoundedBody {
    pub(in crate::worker) fn new(body: Incoming, limit: usize, arrival: Arc<BodyArrival>) -> BoundedBody {
        BoundedBody {
            body: Limited::new(body, limit),
            arrival,
        }
    }
}

impl Body for BoundedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &frame
            && error.is::<LengthLimitError>()
        {
            self.arrival.too_long.store(true, Relaxed);
        }
        self.arrival.awaited.store(frame.is_pending(), Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
