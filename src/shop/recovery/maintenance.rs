//! Maintenance that one worker, the leader, does for all: it observes the wall clock, removes old orders, and
//! takes up the orders that an operator handed back. The worker that holds the lock stays the leader until it
//! exits; the kernel frees the lock when the leader dies.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::storage_watch::{self, StorageGauges};
use crate::scoreboard::{AppMetric, AppMetricError};
use crate::shop::contract::HANDED_BACK;
use crate::shop::http::Orders;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{OfdLock, Store};
use crate::worker::Worker;

/// The name of the lock file in the data directory.
const LOCK: &str = "keeper.lock";
/// Between two rounds. Orders that were handed back wait for it, so it is short. An idle round is one failed
/// try for a lock, or two look-ups.
const INTERVAL: Duration = Duration::from_secs(2);

/// The gauges of unfinished orders for the whole cluster, set by the leader.
struct SagaGauges {
    pending: AppMetric,
    parked: AppMetric,
}

impl SagaGauges {
    fn register(worker: &Worker) -> Result<SagaGauges, AppMetricError> {
        Ok(SagaGauges {
            pending: worker.shared_gauge("shop_orders_pending", "Orders whose saga is under way.")?,
            parked: worker.shared_gauge(
                "shop_orders_parked",
                "Orders whose saga stands still and waits for a person (`sagas list --parked`) or the next \
                 start.",
            )?,
        })
    }

    async fn update(&self, orders: &Orders) {
        // A file that cannot be read is reported elsewhere; the last count stays.
        if let Ok(unfinished) = orders.unfinished_counts().await {
            self.pending.set(unfinished.pending);
            self.parked.set(unfinished.parked);
        }
    }
}

/// All gauges that the leader sets.
pub(in crate::shop) struct LeaderGauges {
    sagas: SagaGauges,
    storage: StorageGauges,
}

impl LeaderGauges {
    pub(in crate::shop) fn register(worker: &Worker) -> Result<LeaderGauges, AppMetricError> {
        Ok(LeaderGauges {
            sagas: SagaGauges::register(worker)?,
            storage: StorageGauges::register(worker)?,
        })
    }
}

/// Runs the maintenance. Never returns.
pub(in crate::shop) async fn run(
    orders: Orders,
    clock: Arc<SteadyClock>,
    (worker, stores): (Worker, Vec<Store>),
    retention: Duration,
    gauges: LeaderGauges,
) {
    let data_dir = worker.settings().cluster.data_dir.clone();
    let lock = LeaderLock::at(data_dir.join(LOCK));
    let is_leader = AtomicBool::new(false);
    // A database that takes no writes stops a round, and what it is for is watched all the same.
    tokio::join!(
        storage_watch::watch(orders.clone(), stores, worker, gauges.storage, &is_leader),
        maintain(orders, clock, lock, retention, gauges.sagas, &is_leader),
    );
}

async fn maintain(
    orders: Orders,
    clock: Arc<SteadyClock>,
    mut lock: LeaderLock,
    retention: Duration,
    gauges: SagaGauges,
    is_leader: &AtomicBool,
) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !lock.is_held() {
            clock.reload();
            continue;
        }
        is_leader.store(true, Ordering::Relaxed);
        if let Err(error) = clock.observe(retention) {
            tracing::warn!(%error, "failed to write clock.json; it will be tried again");
        }
        orders.take_over_life(HANDED_BACK).await;
        sweep(&orders, retention).await;
        gauges.update(&orders).await;
    }
}

/// The lock that makes one worker the leader.
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

    /// Tries to take the lock, and returns whether this worker holds it.
    fn is_held(&mut self) -> bool {
        if self.lock.is_none() {
            match OfdLock::open(&self.path) {
                Ok(lock) => self.lock = Some(lock),
                Err(error) => {
                    tracing::warn!(%error, "failed to open {LOCK}; this worker does no maintenance until a try succeeds");
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
                tracing::warn!(error, "failed to remove old orders; it will be tried again");
                return;
            }
        }
    }
}
