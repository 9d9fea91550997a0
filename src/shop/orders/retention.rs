//! Removing what is old: expired keys, events, orders that ended long ago, and what the participants keep for
//! orders that are gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::repository::SweepCommand;
use super::service::OrdersService;
use crate::shop::contract::{Inventory, OrderId, Payments};

impl<I: Inventory, P: Payments> OrdersService<I, P> {
    /// One small round of retention: removes at most some hundred keys that have expired, events older than
    /// `OrdersLimits::events_retention`, orders that ended `retention` ago, and what the participants keep
    /// for orders that are gone; how many keys, events and orders. Once nothing old is left, nothing is
    /// written until something has grown old, so that an idle shop leaves the disk alone.
    ///
    /// # Errors
    /// The reason, in words; the next round tries again.
    pub async fn sweep(&self, retention: Duration) -> Result<usize, String> {
        let ended_before_ms = self.clock.ago_ms(retention);
        let horizon = OrderId::first_of(ended_before_ms);
        let events_before_ms = self.clock.ago_ms(self.events_retention().min(retention));
        self.runner.inventory.trim_events(events_before_ms).await?;
        self.runner.payments.trim_events(events_before_ms).await?;
        if self.is_tidy.load(Ordering::Relaxed) && !self.is_anything_older(horizon, events_before_ms).await? {
            return Ok(0);
        }
        let command = SweepCommand {
            horizon,
            ended_before_ms,
            events_before_ms,
            after: OrderId::from_key(self.swept.load(Ordering::Relaxed)),
            keys: self.keys.clone(),
        };
        let round = self.runner.repository.sweep(command).await;
        let round = round.map_err(|error| error.to_string())?;
        let is_tidy = round.removed == 0 && round.window.kept.is_empty();
        self.runner.inventory.forget(round.window.clone()).await?;
        self.runner.payments.forget(round.window).await?;
        self.swept.store(round.next_after.key(), Ordering::Relaxed);
        self.is_tidy.store(is_tidy, Ordering::Relaxed);
        Ok(round.removed)
    }

    async fn is_anything_older(&self, horizon: OrderId, events_before_ms: u64) -> Result<bool, String> {
        let older = self
            .runner
            .repository
            .is_anything_older(horizon, events_before_ms, self.keys.clone());
        older.await.map_err(|error| error.to_string())
    }
}
