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

use super::connection::Connection;
use crate::scoreboard::{Board, Counter, Noted};

/// A request in flight: counted until it is dropped, which is when its answer's body is over or given up.
#[derive(Debug)]
pub(super) struct InFlight {
    board: Board,
    connection: Arc<Connection>,
    /// Written down for the master, should this worker die with it; the edge's own short answers are not.
    _noted: Option<Noted>,
}

impl InFlight {
    pub(super) fn new(board: Board, connection: Arc<Connection>) -> InFlight {
        board.counters().add(Counter::InFlight);
        connection.handling();
        InFlight {
            board,
            connection,
            _noted: None,
        }
    }

    /// It may take a while.
    pub(super) fn note(&mut self, method: &Method, path: &str) {
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
pub(super) struct AnswerBody {
    content: Content,
    _in_flight: InFlight,
}

/// What it says.
#[derive(Debug)]
pub(super) enum Content {
    /// The edge's own words, at once.
    Short(Bytes),
    /// The application's.
    Routed(axum::body::Body),
}

impl AnswerBody {
    pub(super) fn new(content: Content, in_flight: InFlight) -> AnswerBody {
        AnswerBody {
            content,
            _in_flight: in_flight,
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
        match &mut self.content {
            Content::Short(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Short(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Routed(body) => Pin::new(body).poll_frame(cx),
        }
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

/// A request's body of unknown length that fails once it is longer than it may be, and says so aside.
#[derive(Debug)]
pub(super) struct BoundedBody {
    body: Limited<Incoming>,
    too_long: Arc<AtomicBool>,
}

impl BoundedBody {
    pub(super) fn new(body: Incoming, limit: usize, too_long: Arc<AtomicBool>) -> BoundedBody {
        BoundedBody {
            body: Limited::new(body, limit),
            too_long,
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
            self.too_long.store(true, Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
