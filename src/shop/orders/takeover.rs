//! Taking over the unfinished sagas of lives that ended.

use std::sync::Arc;
use std::time::Duration;

use super::repository::{ClaimCommand, ClaimOutcome, Claimable, ClaimedBatch, ClaimedOrder};
use super::saga_runner::OwnedSaga;
use super::service::OrdersService;
use crate::base::backoff::Backoff;
use crate::base::ids::{Incarnation, Life};
use crate::shop::contract::{Fence, Inventory, Payments};

/// How many sagas are claimed in one transaction at most.
const CLAIMED_AT_ONCE: usize = 200;
/// The waits between tries to claim while the store cannot be written.
const CLAIM_RETRY: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_secs(1),
};

impl<I: Inventory, P: Payments> OrdersService<I, P> {
    /// Claims the unfinished sagas of a life that ended; how many. Returns when all of them have a new owner,
    /// which runs them meanwhile.
    pub async fn take_over_life(&self, life: Life) -> usize {
        self.take_over(Fence::Life(life)).await
    }

    /// Claims the unfinished sagas of every life of an earlier incarnation on this host, parked ones
    /// included; how many.
    pub async fn take_over_before(&self, incarnation: Incarnation) -> usize {
        self.take_over(Fence::Before(self.runner.life.host, incarnation))
            .await
    }

    /// The life that these orders are placed by.
    pub(in crate::shop) fn life(&self) -> Life {
        self.runner.life
    }

    /// Claims the unfinished sagas of every owner that is dead. A life that is fenced off itself claims
    /// nothing and goes on with what it does: it finds out when it writes.
    pub async fn take_over_dead(&self, is_dead: impl Fn(Life) -> bool) {
        // A file that cannot be read now is reported by others, and the next look comes soon.
        let owners = self.runner.repository.owners_beside(self.runner.life).await;
        for owner in owners.unwrap_or_default() {
            if is_dead(owner) {
                self.take_over_life(owner).await;
            }
        }
    }

    /// Whether a saga is under way that this life runs or may have to take over: not one of a later
    /// incarnation.
    pub async fn any_under_way(&self) -> bool {
        let under_way = self.runner.repository.any_under_way(self.runner.life).await;
        under_way.unwrap_or(false)
    }

    async fn take_over(&self, of: Fence) -> usize {
        let (mut failures, mut all) = (0, 0);
        loop {
            match self.claim_some(of).await {
                Ok(ClaimOutcome::Claimed(batch)) if batch.len() == 0 => return all,
                Ok(ClaimOutcome::Claimed(batch)) => {
                    all += batch.orders.len();
                    self.run_batch(batch);
                }
                Ok(ClaimOutcome::Fenced) => {
                    // Another life must do it; the master has one do it as soon as this process has ended.
                    (self.runner.on_fenced)();
                    std::future::pending::<()>().await;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "unfinished orders could not be claimed; it will be tried again");
                    tokio::time::sleep(CLAIM_RETRY.wait(failures, fastrand::u64(..))).await;
                }
            }
        }
    }

    /// First the participants refuse the earlier owner, then the sagas get their new one: an earlier owner
    /// that wakes up in between, or afterwards, writes nothing for a saga that was claimed.
    async fn claim_some(&self, of: Fence) -> Result<ClaimOutcome, String> {
        let (repository, new_owner) = (&self.runner.repository, self.runner.life);
        let claimable = repository.claimable(of, new_owner).await;
        match claimable.map_err(|error| error.to_string())? {
            Claimable::Nothing => return Ok(ClaimOutcome::Claimed(ClaimedBatch::default())),
            Claimable::ButFenced => return Ok(ClaimOutcome::Fenced),
            Claimable::Something => {}
        }
        let (inventory, payments) =
            tokio::join!(self.runner.inventory.fence(of), self.runner.payments.fence(of));
        inventory.and(payments)?;
        // What the earlier owner dated must not look later than its claim, so the clock that it may have
        // known is learned first.
        self.clock.reload();
        let command = ClaimCommand {
            of,
            new_owner,
            at_most: CLAIMED_AT_ONCE,
        };
        let claimed = repository.claim(command).await;
        claimed.map_err(|error| error.to_string())
    }

    fn run_batch(&self, batch: ClaimedBatch) {
        for order in &batch.parked {
            tracing::error!(%order, "an order is parked: none of its owners survived it");
        }
        if batch.orders.is_empty() {
            return;
        }
        tracing::info!(orders = batch.orders.len(), "took over unfinished orders");
        for ClaimedOrder { order, budget_used } in batch.orders {
            let (runner, live) = (self.runner.clone(), Arc::clone(&self.live));
            let saga = OwnedSaga {
                order: order.id,
                claim_no: order.claim_no,
                placed: order.placed,
                given_up: order.given_up,
                budget_used,
            };
            // Its log lines name the request that placed the order, whichever worker goes on with it.
            let request = saga.placed.request_context();
            tokio::spawn(request.scope(async move {
                let _permit = live.acquire_owned().await;
                runner.run(saga).await
            }));
        }
    }
}
