//! The second line behind the master's word: every worker looks for owners that are dead, as the kernel
//! tells, and claims what they left, with the same fences and claims as an heir that was told. It must not
//! know how a death is told, nor how a saga is driven.
//!
//! | the master | a dead worker's orders are claimed |
//! |---|---|
//! | lives | when it says so, within milliseconds |
//! | is stopped | at the next look of any sibling: within two seconds |
//! | is dead | at the next look of any sibling that still drains: within a tenth of a second |
//!
//! Without a master nobody comes after those who drain, so none of them leaves while another has orders under
//! way: it may die with them. How long they stay is bounded by the exit hook's time, a part of
//! `drain_timeout`.

use std::time::Duration;

use super::liveness::LifeLock;
use crate::shop::http::Orders;
use crate::worker::Worker;

/// Between two looks, while there is a master.
const ROUND: Duration = Duration::from_secs(2);
/// Between two looks, once it is dead: those who are left are there for seconds only.
const LAST_ROUND: Duration = Duration::from_millis(100);

/// Never ends.
pub(in crate::shop) async fn watch(orders: Orders, lives: &'static LifeLock, worker: Worker) {
    loop {
        wait(&worker).await;
        // Never cut short: what was claimed must be driven.
        match lives.stay() {
            Ok(true) => orders.inherit_dead(|life| lives.is_dead(life)).await,
            Ok(false) => {
                tracing::warn!("the file that tells who lives was replaced; the next look is at the new one");
            }
            Err(error) => tracing::warn!(%error, "nobody can tell who is dead; it will be tried again"),
        }
    }
}

async fn wait(worker: &Worker) {
    if worker.is_orphaned() {
        return tokio::time::sleep(LAST_ROUND).await;
    }
    tokio::select! {
        () = tokio::time::sleep(ROUND) => (),
        () = worker.orphaned() => (),
    }
}

/// Returns when this worker may leave: no saga is under way in it and, when there is no master, none that it
/// may have to inherit.
pub(in crate::shop) async fn leave(orders: &Orders, worker: &Worker) {
    loop {
        orders.settled().await;
        if !worker.is_orphaned() || !orders.any_under_way() {
            return;
        }
        tokio::time::sleep(LAST_ROUND).await;
    }
}
