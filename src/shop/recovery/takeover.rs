//! Takeover without a master. Usually the master tells a worker to take over the orders of a dead one. In
//! addition every worker asks the kernel which owners are dead and claims their orders, with the same fences
//! and claims. This module must not know how the master announces a death, nor how a saga runs.
//!
//! | the master | a dead worker's orders are claimed |
//! |---|---|
//! | is alive | when the master announces the death, within milliseconds |
//! | is stopped | at the next check of any worker: within two seconds |
//! | is dead | at the next check of any worker that still drains: within a tenth of a second |
//!
//! Without a master no new worker follows those that drain. So a draining worker stays while another worker
//! has orders under way, because that worker may die with them. The time of the exit hook, a part of
//! `drain_timeout`, bounds how long it stays.

use std::time::Duration;

use super::liveness::LifeLock;
use crate::shop::http::Orders;
use crate::worker::Worker;

/// Between two checks for dead owners, while the master is alive.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two checks for dead owners, once the master is dead: the remaining workers are there for seconds
/// only.
const INTERVAL_WITHOUT_MASTER: Duration = Duration::from_millis(100);

/// Checks for dead owners again and again. Never returns.
pub(in crate::shop) async fn watch(orders: Orders, lives: &'static LifeLock, worker: Worker) {
    loop {
        wait(&worker).await;
        // This call is never cancelled: a saga that was claimed must be run.
        match lives.keep() {
            Ok(true) => orders.take_over_dead(|life| lives.is_dead(life)).await,
            Ok(false) => {
                tracing::warn!(
                    "lives.lock was replaced; dead workers are looked for in the new file from the next \
                     check on"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "failed to find out which workers are dead; it will be tried again")
            }
        }
    }
}

async fn wait(worker: &Worker) {
    if worker.is_orphaned() {
        return tokio::time::sleep(INTERVAL_WITHOUT_MASTER).await;
    }
    tokio::select! {
        () = tokio::time::sleep(INTERVAL) => (),
        () = worker.orphaned() => (),
    }
}

/// Returns when this worker may exit: no saga is under way in it and, without a master, none in another
/// worker that it may have to take over.
pub(in crate::shop) async fn until_it_may_exit(orders: &Orders, worker: &Worker) {
    loop {
        orders.settled().await;
        if !worker.is_orphaned() || !orders.any_under_way().await {
            return;
        }
        tokio::time::sleep(INTERVAL_WITHOUT_MASTER).await;
    }
}
