//! Housekeeping that one worker does for all: watches the wall clock, removes what is old, and takes up the
//! orders that a person handed back. Whoever holds the lock is the keeper for the rest of its life; the
//! kernel frees it when the keeper dies.

use std::path::PathBuf;
use std::time::Duration;

use crate::scoreboard::{OwnError, OwnMetric};
use crate::shop::contract::HANDED_BACK;
use crate::shop::http::Orders;
use crate::store::OfdLock;
use crate::worker::Worker;

/// The lock's file in the data directory.
const LOCK: &str = "keeper.lock";
/// The one timer. Orders handed back wait for it, so it is short; an idle round is one failed try for a lock,
/// or two look-ups.
const ROUND: Duration = Duration::from_secs(2);

/// What the whole cluster's metrics say of orders that are not over; told by whoever is the keeper.
pub(in crate::shop) struct SagaGauges {
    pending: OwnMetric,
    parked: OwnMetric,
}

impl SagaGauges {
    pub(in crate::shop) fn register(worker: &Worker) -> Result<SagaGauges, OwnError> {
        Ok(SagaGauges {
            pending: worker.told("shop_orders_pending", "Orders whose saga is under way.")?,
            parked: worker.told(
                "shop_orders_parked",
                "Orders whose saga stands still and waits for a person (`sagas list --parked`) or the next \
                 start.",
            )?,
        })
    }

    fn tell(&self, orders: &Orders) {
        // A file that cannot be read now is told of by others; the last count stands.
        if let Ok(unfinished) = orders.unfinished() {
            self.pending.set(unfinished.pending);
            self.parked.set(unfinished.parked);
        }
    }
}

/// Never ends.
pub(in crate::shop) async fn keep(orders: Orders, data_dir: PathBuf, retention: Duration, tally: SagaGauges) {
    let mut lock = LeaderLock::at(data_dir.join(LOCK));
    loop {
        tokio::time::sleep(ROUND).await;
        if !lock.is_held() {
            orders.look_at_the_clock();
            continue;
        }
        if let Err(error) = orders.keep_the_clock(retention) {
            tracing::warn!(%error, "what is known of the wall clock could not be written; it will be tried again");
        }
        orders.inherit_life(HANDED_BACK).await;
        sweep(&orders, retention).await;
        tally.tell(&orders);
    }
}

/// The lock, as far as this worker has come with it.
struct LeaderLock {
    path: PathBuf,
    lock: Option<OfdLock>,
    held: bool,
}

impl LeaderLock {
    fn at(path: PathBuf) -> LeaderLock {
        LeaderLock {
            path,
            lock: None,
            held: false,
        }
    }

    /// Whether it is this worker's, after a try for it.
    fn is_held(&mut self) -> bool {
        if self.lock.is_none() {
            match OfdLock::open(&self.path) {
                Ok(lock) => self.lock = Some(lock),
                Err(error) => {
                    tracing::warn!(%error, "{LOCK} cannot be opened, so this worker removes nothing that is old; it will be tried again");
                }
            }
        }
        self.held = self.held
            || self
                .lock
                .as_ref()
                .is_some_and(|lock| lock.try_take().unwrap_or(false));
        self.held
    }
}

async fn sweep(orders: &Orders, retention: Duration) {
    loop {
        match orders.sweep(retention).await {
            Ok(0) => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                tracing::warn!(error, "what is old could not be removed; it will be tried again");
                return;
            }
        }
    }
}
