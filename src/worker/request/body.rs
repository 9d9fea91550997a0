//! Bodies on their way through the edge: answers that know when they are over, requests that may not be too long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body_util::{LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::scoreboard::{Board, Counter, Noted};
use crate::worker::connection::state::Connection;

/// A request in flight: counted until it is dropped, which is when its answer's body is over or given up.
#[derive(Debug)]
pub(in crate::worker) struct InFlight {
    board: Board,
    connection: Arc<Connection>,
    /// Written down for the master, should this worker die with it; the edge's own short answers are not.
    _noted: Option<Noted>,
}

impl InFlight {
    pub(in crate::worker) fn new(board: Board, connection: Arc<Connection>) -> InFlight {
        board.counters().add(Counter::InFlight);
        connection.handling();
        InFlight {
            board,
            connection,
            _noted: None,
        }
    }

    /// It may take a while.
    pub(in crate::worker) fn note(&mut self, method: &Method, path: &str) {
        self._noted = self.board.note(method.as_str(), path);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.board.counters().sub(Counter::InFlight);
        self.connection.answered();
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(in crate::worker) struct AnswerBody {
    content: Content,
    in_flight: InFlight,
    /// The client has to make room before this is asked for more. Only a shared connection's answers can wait for that while
    /// the socket is empty.
    owed: bool,
}

/// What it says.
#[derive(Debug)]
pub(in crate::worker) enum Content {
    /// The edge's own words, at once.
    Short(Bytes),
    /// The application's.
    Routed(axum::body::Body),
}

impl AnswerBody {
    pub(in crate::worker) fn new(content: Content, in_flight: InFlight) -> AnswerBody {
        let mut body = AnswerBody {
            content,
            in_flight,
            owed: false,
        };
        body.owe(true);
        body
    }

    fn owe(&mut self, owed: bool) {
        let connection = &self.in_flight.connection;
        match (self.owed, owed && connection.is_shared()) {
            (false, true) => connection.owe(),
            (true, false) => connection.owe_no_more(),
            (false, false) | (true, true) => {}
        }
        self.owed = owed && connection.is_shared();
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.owe(false);
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
            Content::Short(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Short(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Routed(body) => Pin::new(body).poll_frame(cx),
        };
        self.owe(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Short(bytes) => bytes.is_empty(),
            Content::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Short(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Routed(body) => body.size_hint(),
        }
    }
}

/// What is known about the arrival of a request's body, aside from whoever reads it.
#[derive(Debug, Default)]
pub(in crate::worker) struct Arrival {
    too_long: AtomicBool,
    awaited: AtomicBool,
}

impl Arrival {
    /// It was longer than it may be.
    pub(in crate::worker) fn is_too_long(&self) -> bool {
        self.too_long.load(Relaxed)
    }

    /// Its reader waits for the client.
    pub(in crate::worker) fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }
}

/// A request's body that fails once it is longer than it may be.
#[derive(Debug)]
pub(in crate::worker) struct BoundedBody {
    body: Limited<Incoming>,
    arrival: Arc<Arrival>,
}

impl BoundedBody {
    pub(in crate::worker) fn new(body: Incoming, limit: usize, arrival: Arc<Arrival>) -> BoundedBody {
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
