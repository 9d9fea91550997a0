//! The feed itself: positions become pages, pages are read once for all readers of this worker, and readers
//! that have seen everything wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::page::{FeedPage, PageCache};
use super::position::{EventPosition, FeedId, SOURCES};
use super::wakes::{EventWakes, WakeState};
use crate::scoreboard::{AppMetric, AppMetricError};
use crate::shop::contract::{EventSource, EventsAfter, StorageError, StreamId};
use crate::shop::inventory::InventoryService;
use crate::shop::orders::OrdersService;
use crate::shop::payments::PaymentsService;
use crate::worker::Worker;

/// Events of a page at most. Pages end at multiples of it, so that readers that came to the same events at
/// different times share them from then on.
const PAGE: u64 = 256;
/// Behind all events.
const BEHIND_ALL: u64 = i64::MAX as u64;

/// The events of all services as one line. Cheap to clone.
#[derive(Clone)]
pub struct EventFeed {
    inner: Arc<FeedInner>,
}

struct FeedInner {
    orders: OrdersService<InventoryService, PaymentsService>,
    inventory: InventoryService,
    payments: PaymentsService,
    id: FeedId,
    wakes: Arc<EventWakes>,
    cache: Mutex<PageCache>,
    /// Held while a page is read, so that readers at the same position cause one read.
    reading: tokio::sync::Mutex<()>,
    /// The last position behind which there was nothing, and how often readers had been woken before that was
    /// read.
    nothing_behind: Mutex<Option<(EventPosition, u64)>>,
    metrics: FeedMetrics,
    worker: Worker,
}

/// The services whose events make the feed, in the order of the numbers of a position.
pub(in crate::shop) struct FeedServices {
    pub(in crate::shop) orders: OrdersService<InventoryService, PaymentsService>,
    pub(in crate::shop) inventory: InventoryService,
    pub(in crate::shop) payments: PaymentsService,
}

/// What the feed counts for the metrics.
pub(in crate::shop) struct FeedMetrics {
    /// Reads, each of which is one query of each service.
    reads: AppMetric,
    /// Streams that are open in this worker.
    streams: AppMetric,
}

impl FeedMetrics {
    pub(in crate::shop) fn register(worker: &Worker) -> Result<FeedMetrics, AppMetricError> {
        Ok(FeedMetrics {
            reads: worker.counter(
                "shop_events_reads_total",
                "Reads of the events: one query of each service, for all readers of a worker that wait.",
            )?,
            streams: worker.gauge("shop_events_streams", "Streams of events that are open.")?,
        })
    }
}

/// Counts a stream while it is open.
pub(super) struct OpenStream(EventFeed);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.inner.metrics.streams.sub(1);
    }
}

/// Where a reader begins who has no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum FeedStart {
    /// With the oldest event that is kept.
    Oldest,
    /// With the next event.
    Now,
}

/// Why there is nothing behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionGone {
    /// The position is of another feed: a database was restored or replaced since, or it is another
    /// cluster's.
    Foreign,
    /// The position lies behind the newest event.
    Future,
    /// Events behind the position are no longer kept.
    Expired,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The reader must begin anew, at one of these positions or without one.
    #[error("there is nothing behind the position ({why:?})")]
    Gone {
        /// The reason.
        why: PositionGone,
        /// Before the oldest event that is kept.
        oldest: EventPosition,
        /// Behind the newest event.
        newest: EventPosition,
    },
    /// A database could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EventFeed {
    pub(in crate::shop) fn new(
        worker: &Worker,
        services: FeedServices,
        streams: [StreamId; SOURCES],
        metrics: FeedMetrics,
    ) -> EventFeed {
        let data_dir = worker.settings().cluster.data_dir.as_path();
        let FeedServices {
            orders,
            inventory,
            payments,
        } = services;
        EventFeed {
            inner: Arc::new(FeedInner {
                orders,
                inventory,
                payments,
                id: FeedId::of(streams),
                wakes: EventWakes::new(data_dir),
                cache: Mutex::default(),
                reading: tokio::sync::Mutex::new(()),
                nothing_behind: Mutex::new(None),
                metrics,
                worker: worker.clone(),
            }),
        }
    }

    /// The position of a reader who has none.
    pub(in crate::shop) async fn start(&self, start: FeedStart) -> Result<EventPosition, StorageError> {
        let ends = self.read([BEHIND_ALL; SOURCES], 1).await?;
        Ok(match start {
            FeedStart::Oldest => self.oldest(&ends),
            FeedStart::Now => self.newest(&ends),
        })
    }

    /// The first events behind that position, as they are now.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(in crate::shop) async fn page(&self, start: EventPosition) -> Result<Arc<FeedPage>, FeedError> {
        // A page that had more behind it has all that it will ever have.
        match self.cached(start).filter(|page| page.has_more) {
            Some(page) => Ok(page),
            None => self.read_page(start).await,
        }
    }

    /// The first events behind that position, for a reader that was woken so often: whoever reads first reads
    /// for all readers that were woken with it.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(super) async fn shared_page(
        &self,
        start: EventPosition,
        changes: u64,
    ) -> Result<Arc<FeedPage>, FeedError> {
        if let Some(page) = self.cached(start) {
            return Ok(page);
        }
        let _alone = self.inner.reading.lock().await;
        if let Some(page) = self.cached(start) {
            return Ok(page);
        }
        if self.has_nothing_behind(start, changes) {
            return Ok(Arc::new(FeedPage::empty(start)));
        }
        self.read_page(start).await
    }

    async fn read_page(&self, start: EventPosition) -> Result<Arc<FeedPage>, FeedError> {
        let changes = self.inner.wakes.changes();
        let limit = usize::try_from(PAGE - start.sum() % PAGE).unwrap_or(1);
        let read = self.read(start.numbers, limit).await?;
        if let Some(why) = self.gone(start, &read) {
            let (oldest, newest) = (self.oldest(&read), self.newest(&read));
            return Err(FeedError::Gone { why, oldest, newest });
        }
        let mut page = FeedPage::merge(start, read, limit);
        page.changes = changes;
        let page = Arc::new(page);
        if page.events.is_empty() {
            *lock(&self.inner.nothing_behind) = Some((start, changes));
        } else {
            lock(&self.inner.cache).keep(start, &page);
        }
        Ok(page)
    }

    fn has_nothing_behind(&self, start: EventPosition, changes: u64) -> bool {
        lock(&self.inner.nothing_behind)
            .is_some_and(|(position, before)| position == start && before >= changes)
    }

    /// Counts one more stream, until what is returned is dropped.
    pub(super) fn open_stream(&self) -> OpenStream {
        self.inner.metrics.streams.add(1);
        OpenStream(self.clone())
    }

    /// Whether somebody waits for events.
    #[cfg(feature = "postgres")]
    pub(super) fn has_readers(&self) -> bool {
        self.inner.wakes.readers() > 0
    }

    /// How many readers wait.
    #[cfg(test)]
    pub(in crate::shop) fn waiting(&self) -> usize {
        self.inner.wakes.readers()
    }

    /// How often the feed was read.
    #[cfg(test)]
    pub(in crate::shop) fn reads(&self) -> u64 {
        self.inner.metrics.reads.value()
    }

    /// Returns when this worker begins to drain.
    pub(in crate::shop) async fn draining(&self) {
        self.inner.worker.draining().await;
    }

    /// A receiver that changes when there may be more. Ask for it before reading, and wait for it after.
    pub(in crate::shop) fn wakes(&self) -> watch::Receiver<WakeState> {
        self.inner.wakes.subscribe()
    }

    /// A reader was handed so many bytes.
    pub(super) fn count(&self, bytes: usize) {
        self.inner.wakes.count(bytes);
    }

    /// Whether there are so many readers that one that was served waits until all are woken again, so that
    /// they leave the time to the orders.
    pub(super) fn has_many_readers(&self) -> bool {
        self.inner.wakes.are_many()
    }

    /// Has all readers woken again as soon as it is time, because one of them has more before it.
    pub(super) fn wake_soon(&self) {
        self.inner.wakes.wake_soon();
    }

    async fn read(
        &self,
        behind: [u64; SOURCES],
        limit: usize,
    ) -> Result<[EventsAfter; SOURCES], StorageError> {
        let FeedInner {
            orders,
            inventory,
            payments,
            ..
        } = &*self.inner;
        self.inner.metrics.reads.add(1);
        let (orders, inventory, payments) = tokio::join!(
            orders.events_after(behind[0], limit),
            inventory.events_after(behind[1], limit),
            payments.events_after(behind[2], limit),
        );
        Ok([orders?, inventory?, payments?])
    }

    fn gone(&self, start: EventPosition, read: &[EventsAfter; SOURCES]) -> Option<PositionGone> {
        if start.feed != self.inner.id {
            return Some(PositionGone::Foreign);
        }
        let numbers = || start.numbers.into_iter().zip(read);
        if numbers().any(|(number, read)| number > read.newest) {
            return Some(PositionGone::Future);
        }
        let is_expired = numbers().any(|(number, read)| number + 1 < read.oldest);
        is_expired.then_some(PositionGone::Expired)
    }

    fn oldest(&self, read: &[EventsAfter; SOURCES]) -> EventPosition {
        self.at(read.each_ref().map(|read| read.oldest.saturating_sub(1)))
    }

    fn newest(&self, read: &[EventsAfter; SOURCES]) -> EventPosition {
        self.at(read.each_ref().map(|read| read.newest))
    }

    fn at(&self, numbers: [u64; SOURCES]) -> EventPosition {
        let feed = self.inner.id;
        EventPosition { feed, numbers }
    }

    fn cached(&self, start: EventPosition) -> Option<Arc<FeedPage>> {
        lock(&self.inner.cache).find(start)
    }
}

/// What is behind these locks is changed as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for EventFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventFeed")
            .field("id", &self.inner.id)
            .finish_non_exhaustive()
    }
}
