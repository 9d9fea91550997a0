//! One reader that follows the feed: page after page, and then whatever comes, whichever protocol it is told
//! in.

use std::sync::Arc;

use tokio::sync::watch;

use super::feed::{EventFeed, FeedError, OpenStream};
use super::page::FeedPage;
use super::position::EventPosition;
use super::wakes::WakeState;

/// A reader's way through the feed. It is counted as an open stream until it is dropped.
pub(in crate::shop) struct FeedReader {
    feed: EventFeed,
    wakes: watch::Receiver<WakeState>,
    /// What the reader was last woken by.
    known: WakeState,
    position: EventPosition,
    /// The reader has had its page since it was woken.
    is_served: bool,
    /// There may be events behind that page of which nobody will wake the reader any more.
    has_more: bool,
    _open: OpenStream,
}

/// What a reader is to tell next.
pub(in crate::shop) enum FeedNews {
    /// The events of one page, of which there is at least one.
    Page(Arc<FeedPage>),
    /// There was nothing for a while: for proxies and clients that give up what is silent.
    SignOfLife,
    /// This worker drains.
    Over,
}

impl FeedReader {
    /// A reader that begins behind that position. `wakes` was asked for before the position was read.
    ///
    /// # Errors
    /// [`FeedError`]: there is nothing behind that position.
    pub(in crate::shop) async fn begin(
        feed: EventFeed,
        mut wakes: watch::Receiver<WakeState>,
        position: EventPosition,
    ) -> Result<FeedReader, FeedError> {
        feed.page(position).await?;
        let known = *wakes.borrow_and_update();
        Ok(FeedReader {
            known,
            wakes,
            position,
            is_served: false,
            has_more: false,
            _open: feed.open_stream(),
            feed,
        })
    }

    /// Behind what the next page begins.
    pub(in crate::shop) fn position(&self) -> EventPosition {
        self.position
    }

    /// Counts what the reader was handed, by which the readers are paced.
    pub(in crate::shop) fn count(&self, bytes: usize) {
        self.feed.count(bytes);
    }

    /// What comes next. Nothing is lost when the future is dropped before its end.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(in crate::shop) async fn next(&mut self) -> Result<FeedNews, FeedError> {
        loop {
            if !self.is_served || !self.feed.has_many_readers() {
                let changes = self.known.changes;
                let page = self.feed.shared_page(self.position, changes).await?;
                if !page.events.is_empty() {
                    self.position = page.end;
                    self.is_served = true;
                    // A page that somebody else read earlier may lack what this reader was woken for.
                    self.has_more = page.has_more || page.changes < changes;
                    return Ok(FeedNews::Page(page));
                }
            } else if self.has_more {
                self.feed.wake_soon();
            }
            let is_over = tokio::select! {
                changed = self.wakes.changed() => changed.is_err(),
                () = self.feed.draining() => true,
            };
            if is_over {
                return Ok(FeedNews::Over);
            }
            let before = std::mem::replace(&mut self.known, *self.wakes.borrow_and_update());
            if before.changes != self.known.changes {
                self.is_served = false;
            }
            if before.signs_of_life != self.known.signs_of_life {
                return Ok(FeedNews::SignOfLife);
            }
        }
    }

    /// Returns when this worker begins to drain.
    pub(in crate::shop) async fn draining(&self) {
        self.feed.draining().await;
    }
}
