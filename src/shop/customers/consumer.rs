//! Follows the events of orders, in the one worker that does the maintenance, and writes them into the model
//! together with how far it came. When that worker dies, the next leader goes on from there.

use std::time::Duration;

use tokio::sync::watch;

use super::rebuild::rebuild;
use super::sqlite::{ApplyOutcome, CustomersRepository};
use crate::scoreboard::{AppMetric, AppMetricError};
use crate::shop::contract::{OrderTotals, OrdersMark, StorageError, StreamId};
use crate::worker::Worker;

/// Events of one transaction at most.
const AT_ONCE: usize = 1_000;
/// Between two transactions while events come: what comes meanwhile is written at once, so that following
/// costs the orders a few commits a second.
const PACE: Duration = Duration::from_millis(250);
/// Between two tries while a database cannot be used.
const RETRY: Duration = Duration::from_secs(2);

/// The events and totals of orders, and what tells that there are more.
pub(in crate::shop) struct OrdersFeed<O, W> {
    pub(in crate::shop) orders: O,
    /// The line that the numbers belong to.
    pub(in crate::shop) stream: StreamId,
    /// Changes when there may be more events.
    pub(in crate::shop) wakes: Box<dyn Fn() -> watch::Receiver<W> + Send + Sync>,
}

/// Keeps the model up to date.
pub(in crate::shop) struct Consumer<O, W> {
    feed: OrdersFeed<O, W>,
    repository: CustomersRepository,
    worker: Worker,
    lag: AppMetric,
}

impl<O: OrderTotals, W> Consumer<O, W> {
    pub(in crate::shop) fn new(
        feed: OrdersFeed<O, W>,
        repository: CustomersRepository,
        worker: Worker,
    ) -> Result<Consumer<O, W>, AppMetricError> {
        let lag = worker.shared_gauge(
            "shop_customers_lag_events",
            "Events of orders that the summaries of customers do not have yet; 10,000 may stand for more.",
        )?;
        Ok(Consumer {
            feed,
            repository,
            worker,
            lag,
        })
    }

    /// Follows the events until the worker drains.
    pub(in crate::shop) async fn run(&self) {
        while let Err(error) = self.follow().await {
            tracing::warn!(%error, "the summaries of customers stand still; it will be tried again");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn follow(&self) -> Result<(), StorageError> {
        self.repository.remove_unused().await?;
        let mut mark = self.begin().await?;
        loop {
            // Asked for before the read, so that what happens in between is not missed; and given up before the
            // pause, in which nobody need be woken by each commit.
            let mut wakes = (self.feed.wakes)();
            mark = self.catch_up(mark).await?;
            let more = tokio::select! {
                changed = wakes.changed() => changed.is_ok(),
                () = self.worker.draining() => false,
            };
            drop(wakes);
            if !more {
                return Ok(());
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Where the model stands; it is built if there is none.
    async fn begin(&self) -> Result<OrdersMark, StorageError> {
        match self.repository.mark().await? {
            Some(mark) => Ok(mark),
            None => self.rebuild("there is no model yet").await,
        }
    }

    /// Writes everything behind the mark; the mark then.
    async fn catch_up(&self, mut mark: OrdersMark) -> Result<OrdersMark, StorageError> {
        loop {
            if mark.stream != self.feed.stream {
                mark = self.rebuild("a database was restored or replaced").await?;
            }
            let read = self.feed.orders.totals_after(mark.number, AT_ONCE).await?;
            if mark.number > read.newest || mark.number + 1 < read.oldest {
                mark = self
                    .rebuild("the events behind the model are no longer kept")
                    .await?;
                continue;
            }
            self.lag.set(read.behind);
            if read.end == mark.number {
                return Ok(mark);
            }
            let next = OrdersMark {
                number: read.end,
                ..mark
            };
            mark = match self.repository.apply(mark, read.totals, next).await? {
                ApplyOutcome::Applied => next,
                // A command has built the model anew.
                ApplyOutcome::Moved => self.begin().await?,
            };
        }
    }

    async fn rebuild(&self, reason: &str) -> Result<OrdersMark, StorageError> {
        let built = rebuild(&self.feed.orders, &self.repository).await?;
        tracing::info!(reason, "built the summaries of customers: {} totals", built.rows);
        Ok(built.mark)
    }
}
