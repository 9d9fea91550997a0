//! The bodies of gRPC calls: no message of a request may be too long, and an answer ends with the client's
//! deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Each message begins with a flag and its length.
const PREFIX: usize = 5;

/// How far a stream of messages has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessagePosition {
    /// In the prefix of a message, of which these bytes have arrived.
    Prefix { bytes: [u8; PREFIX], arrived: usize },
    /// In a message of which this number of bytes is to come.
    Inside { left: usize },
}

/// A message is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes is longer than may be")]
struct MessageTooLong {
    length: usize,
}

/// Reads the lengths of the messages in a stream of bytes.
#[derive(Debug)]
struct MessageLengths {
    limit: usize,
    position: MessagePosition,
}

const BETWEEN: MessagePosition = MessagePosition::Prefix {
    bytes: [0; PREFIX],
    arrived: 0,
};

impl MessageLengths {
    fn new(limit: usize) -> MessageLengths {
        MessageLengths {
            limit,
            position: BETWEEN,
        }
    }

    /// No message has begun to arrive, or the last one is complete.
    fn is_between(&self) -> bool {
        self.position == BETWEEN
    }

    fn feed(&mut self, mut data: &[u8]) -> Result<(), MessageTooLong> {
        while !data.is_empty() {
            self.position = match self.position {
                MessagePosition::Prefix { mut bytes, arrived } => {
                    let taken = data.len().min(PREFIX - arrived);
                    data.copy_to_slice(&mut bytes[arrived..arrived + taken]);
                    self.behind_prefix(bytes, arrived + taken)?
                }
                MessagePosition::Inside { left } => {
                    let taken = data.len().min(left);
                    data.advance(taken);
                    inside(left - taken)
                }
            };
        }
        Ok(())
    }

    fn behind_prefix(&self, bytes: [u8; PREFIX], arrived: usize) -> Result<MessagePosition, MessageTooLong> {
        if arrived < PREFIX {
            return Ok(MessagePosition::Prefix { bytes, arrived });
        }
        let [_flag, length @ ..] = bytes;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(MessageTooLong { length });
        }
        Ok(inside(length))
    }
}

fn inside(left: usize) -> MessagePosition {
    match left {
        0 => BETWEEN,
        left => MessagePosition::Inside { left },
    }
}

/// What is known about the arrival of a call's messages, besides what their reader knows.
#[derive(Debug, Default)]
pub(super) struct MessageArrival {
    too_long: AtomicBool,
    awaited: AtomicBool,
    between: AtomicBool,
}

impl MessageArrival {
    /// A message was longer than it may be.
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long.load(Relaxed)
    }

    /// The reader waits for the client.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }

    /// The reader waits for the client, and no message has arrived in part: the stream is merely quiet.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_awaited() && self.between.load(Relaxed)
    }
}

/// The body of a request that fails at a message which is too long.
#[derive(Debug)]
pub(super) struct MessagesBody {
    body: Incoming,
    lengths: MessageLengths,
    arrival: Arc<MessageArrival>,
}

impl MessagesBody {
    pub(super) fn new(body: Incoming, limit: usize, arrival: Arc<MessageArrival>) -> MessagesBody {
        MessagesBody {
            body,
            lengths: MessageLengths::new(limit),
            arrival,
        }
    }
}

impl Body for MessagesBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.arrival.awaited.store(frame.is_pending(), Relaxed);
        self.arrival.between.store(self.lengths.is_between(), Relaxed);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.lengths.feed(data)
        {
            self.arrival.too_long.store(true, Relaxed);
            return Poll::Ready(Some(Err(error.into())));
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer that ends with the deadline of the call.
#[derive(Debug)]
pub(super) struct DeadlineBody {
    body: AnyBody,
    deadline: Instant,
    /// Made when the answer lets its client wait for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl DeadlineBody {
    pub(super) fn new(body: AnyBody, deadline: Instant) -> DeadlineBody {
        DeadlineBody {
            body,
            deadline,
            timer: None,
            is_over: false,
        }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.is_over = true;
        self.body = AnyBody::empty();
        let mut trailers = HeaderMap::new();
        let status = Status::deadline_exceeded("the answer was not complete at the deadline of the call");
        match status.add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(axum::Error::new(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let body = vec![7; usize::try_from(length).expect("a length")];
        [&[0][..], &length.to_be_bytes(), &body].concat()
    }

    #[test]
    fn each_message_has_the_limit_and_the_stream_has_none() {
        let stream = [message(3), message(0), message(10), message(9)].concat();
        for piece in [1, 2, 5, 6, 100] {
            let mut lengths = MessageLengths::new(10);
            for part in stream.chunks(piece) {
                assert_eq!(lengths.feed(part), Ok(()), "pieces of {piece}");
            }
            assert!(lengths.is_between());
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_known_by_its_prefix() {
        let mut lengths = MessageLengths::new(10);
        let stream = [&message(10)[..], &[1, 0xff, 0xff, 0xff]].concat();
        assert_eq!(lengths.feed(&stream), Ok(()));
        assert!(!lengths.is_between());
        let length = 0xffff_ffff;
        assert_eq!(lengths.feed(&[0xff]), Err(MessageTooLong { length }));
    }
}
