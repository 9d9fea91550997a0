//! Maintenance that one worker, the leader, does for all: it observes the wall clock, removes old orders,
//! writes down how far the events have come, and takes up the orders that an operator handed back. The worker
//! that holds the lock stays the leader until it exits; the kernel frees the lock when the leader dies.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::storage_watch::{self, NoteOfHosts, StorageGauges};
use crate::scoreboard::{AppMetric, AppMetricError};
use crate::shop::contract::HANDED_BACK;
use crate::shop::customers::Consumer;
use crate::shop::events::{StreamsRecorder, WakeState};
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
    (clock, streams): (Arc<SteadyClock>, Arc<StreamsRecorder>),
    (worker, stores, note_of_hosts): (Worker, Vec<Store>, NoteOfHosts),
    retention: Duration,
    (gauges, consumer): (LeaderGauges, Consumer<Orders, WakeState>),
) {
    let data_dir = worker.settings().cluster.data_dir.clone();
    let lock = LeaderLock::at(data_dir.join(LOCK));
    let (is_leader, leads) = (AtomicBool::new(false), Notify::new());
    // A database that takes no writes stops a round, and what it is for is watched all the same.
    tokio::join!(
        storage_watch::watch(
            orders.clone(),
            stores,
            worker,
            gauges.storage,
            (&is_leader, &note_of_hosts)
        ),
        maintain(
            orders,
            (clock, streams),
            lock,
            retention,
            gauges.sagas,
            (&is_leader, &leads),
        ),
        follow_events(&leads, &consumer),
    );
}

async fn maintain(
    orders: Orders,
    (clock, streams): (Arc<SteadyClock>, Arc<StreamsRecorder>),
    mut lock: LeaderLock,
    retention: Duration,
    gauges: SagaGauges,
    (is_leader, leads): (&AtomicBool, &Notify),
) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !lock.is_held() {
            clock.reload();
            continue;
        }
        if !is_leader.swap(true, Ordering::Relaxed) {
            leads.notify_one();
        }
        if let Err(error) = clock.observe(retention) {
            tracing::warn!(%error, "failed to write clock.json; it will be tried again");
        }
        orders.take_over_life(HANDED_BACK).await;
        sweep(&orders, retention).await;
        gauges.update(&orders).await;
        streams.record().await;
    }
}

/// The leader alone follows the events, for the summaries of customers.
async fn follow_events(leads: &Notify, consumer: &Consumer<Orders, WakeState>) {
    leads.notified().await;
    consumer.run().await;
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
