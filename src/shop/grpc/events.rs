//! `shop.v1.Events`: the feed as a stream of messages. A reader has at most one page of the feed and one
//! message waiting in this worker, however slowly it reads.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::messages;
use super::v1;
use super::v1::events_server::Events;
use crate::shop::events::{FeedError, FeedEvent, FeedNews, FeedPage, FeedReader, KindSet};
use crate::shop::http::AppState;
use crate::shop::http::events_query::{kinds, no_page, reader, start_point};

type Message = Result<v1::EventsFollowResponse, Status>;

pub(super) struct EventsEndpoint(pub(super) AppState);

#[tonic::async_trait]
impl Events for EventsEndpoint {
    type FollowStream = FollowedEvents;

    async fn follow(
        &self,
        request: Request<v1::EventsFollowRequest>,
    ) -> Result<Response<FollowedEvents>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        self.0.internal.check(&metadata.into_headers(), &extensions)?;
        let after = Some(message.after.as_str()).filter(|after| !after.is_empty());
        let start = start_point(after)?;
        let kinds = match message.types.as_slice() {
            [] => KindSet::ALL,
            types => kinds(&types.join(","))?,
        };
        let reader = reader(&self.0.events, start).await?;
        let (sender, receiver) = mpsc::channel(1);
        let follower = Follower {
            reader,
            kinds,
            sender,
        };
        tokio::spawn(follower.run());
        Ok(Response::new(FollowedEvents(receiver)))
    }
}

/// The stream of the answer: what the follower hands over.
pub(super) struct FollowedEvents(mpsc::Receiver<Message>);

impl Stream for FollowedEvents {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_recv(cx)
    }
}

/// What feeds one reader.
struct Follower {
    reader: FeedReader,
    kinds: KindSet,
    sender: mpsc::Sender<Message>,
}

/// Why a reader is fed no more.
enum FollowEnd {
    Gone,
    Draining,
    Failed(FeedError),
}

impl Follower {
    async fn run(mut self) {
        let status = match self.follow().await {
            FollowEnd::Gone => return,
            FollowEnd::Draining => Status::unavailable("this worker drains; follow on behind the last event"),
            FollowEnd::Failed(error) => no_page(error).into(),
        };
        // The reader may be gone by now.
        let _told = self.sender.send(Err(status)).await;
    }

    async fn follow(&mut self) -> FollowEnd {
        // A reader that sees nothing before its stream breaks off has a position to go on behind all the same.
        if let Err(end) = self.send(messages::position(self.reader.position())).await {
            return end;
        }
        loop {
            let news = tokio::select! {
                news = self.reader.next() => news,
                () = self.sender.closed() => return FollowEnd::Gone,
            };
            match news {
                Ok(FeedNews::Page(page)) => {
                    if let Err(end) = self.hand_over(&page).await {
                        return end;
                    }
                }
                // HTTP/2 has signs of life of its own.
                Ok(FeedNews::SignOfLife) => {}
                Ok(FeedNews::Over) => return FollowEnd::Draining,
                Err(error) => return FollowEnd::Failed(error),
            }
        }
    }

    /// Hands over the wanted events of a page; behind events of other kinds the position alone, so that a
    /// follower of what is rare does not stay behind what is kept.
    async fn hand_over(&self, page: &FeedPage) -> Result<(), FollowEnd> {
        let is_wanted = |event: &&FeedEvent| self.kinds.has(event.event.kind);
        for event in page.events.iter().filter(is_wanted) {
            self.send(messages::event(event)).await?;
        }
        match page.events.last().filter(is_wanted) {
            Some(_) => Ok(()),
            None => self.send(messages::position(page.end)).await,
        }
    }

    async fn send(&self, message: v1::EventsFollowResponse) -> Result<(), FollowEnd> {
        self.reader
            .count(message.position.len() + message.cloud_event.len());
        tokio::select! {
            handed = self.sender.send(Ok(message)) => handed.map_err(|_| FollowEnd::Gone),
            () = self.reader.draining() => Err(FollowEnd::Draining),
        }
    }
}
