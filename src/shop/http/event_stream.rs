//! `GET /events` as server-sent events: the reader is fed a page at a time, and never has more than one of
//! them waiting in this worker however slowly it reads.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::events_query::{EventsQuery, reader};
use crate::http::Problem;
use crate::shop::events::{EventFeed, FeedNews, FeedReader, KindSet};

/// What a reader that lost its stream waits before it asks again, in milliseconds.
const RETRY_MS: u32 = 1_000;
/// A line that means nothing.
const SIGN_OF_LIFE: Bytes = Bytes::from_static(b":\n\n");

/// The answer: a stream that begins behind the reader's position. A position behind which there is nothing is
/// refused before the stream begins.
pub(super) async fn answer(feed: EventFeed, query: EventsQuery) -> Result<Response, Problem> {
    let reader = reader(&feed, query.start).await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(hand_over(reader, query.kinds, sender));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that know it pass each event on as it comes.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::new(StreamBody(receiver))).into_response())
}

/// The body of the answer: what the stream hands over.
struct StreamBody(mpsc::Receiver<Bytes>);

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Hands over whatever comes, until the reader is gone or the worker drains.
async fn hand_over(mut reader: FeedReader, kinds: KindSet, sender: mpsc::Sender<Bytes>) {
    let begin = format!("retry: {RETRY_MS}\nid: {}\n\n", reader.position());
    let mut is_there = sender.send(begin.into()).await.is_ok();
    while is_there {
        let news = tokio::select! {
            news = reader.next() => news,
            () = sender.closed() => return,
        };
        is_there = match news {
            Ok(FeedNews::Page(page)) => {
                let bytes = page.streamed(kinds);
                reader.count(bytes.len());
                tokio::select! {
                    handed = sender.send(bytes) => handed.is_ok(),
                    () = reader.draining() => false,
                }
            }
            Ok(FeedNews::SignOfLife) => sender.send(SIGN_OF_LIFE).await.is_ok(),
            Ok(FeedNews::Over) => false,
            // The reader asks again, and is told why.
            Err(error) => {
                tracing::debug!(%error, "a stream of events ends");
                false
            }
        };
    }
}
