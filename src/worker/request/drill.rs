//! `/drill/…`: faults on purpose, for tests and exercises. Off unless `drill.routes` is on, which is refused
//! unless every address is loopback.
//!
//! | path | does |
//! |---|---|
//! | `/drill/spin?ms=1000` | keeps the event loop busy, at most 600,000 ms |
//! | `/drill/sleep?ms=1000` | answers after that time without keeping anything busy, at most 600,000 ms |
//! | `/drill/panic` | panics in the handler |
//! | `/drill/abort` | aborts the process |
//! | `/drill/allocate?mib=64` | takes memory, touches it and keeps it, at most 4,096 MiB a request |
//! | `/drill/echo` | answers with the body it was sent: no fault, but useful for finding faults |

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Query;
use axum::routing::any;
use serde::Deserialize;

use crate::http::fallbacks;

/// The longest time of a drill, in milliseconds.
const MAX_MS: u64 = 600_000;
/// The most memory that one request takes, in MiB.
const MAX_MIB: usize = 4096;

/// The allocated blocks, kept until the process ends.
static ALLOCATED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillTime {
    #[serde(default = "default_ms")]
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillMemory {
    #[serde(default = "default_mib")]
    mib: usize,
}

fn default_ms() -> u64 {
    1000
}

fn default_mib() -> usize {
    64
}

impl DrillTime {
    fn bounded(&self) -> Duration {
        Duration::from_millis(self.ms.min(MAX_MS))
    }
}

/// The routes, all of them below `/drill/`.
pub(in crate::worker) fn routes() -> Router {
    fallbacks(
        Router::new()
            .route("/drill/spin", any(spin))
            .route("/drill/sleep", any(sleep))
            .route("/drill/panic", any(panic))
            .route("/drill/abort", any(abort))
            .route("/drill/allocate", any(allocate))
            .route("/drill/echo", any(async |body: Bytes| body)),
    )
}

async fn spin(Query(time): Query<DrillTime>) -> String {
    let end = Instant::now() + time.bounded();
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    format!("spun for {:?}\n", time.bounded())
}

async fn sleep(Query(time): Query<DrillTime>) -> String {
    tokio::time::sleep(time.bounded()).await;
    format!("slept for {:?}\n", time.bounded())
}

async fn panic() {
    panic!("a drill");
}

async fn abort() {
    tracing::error!("a drill aborts this worker");
    std::process::abort();
}

async fn allocate(Query(memory): Query<DrillMemory>) -> String {
    let mib = memory.mib.min(MAX_MIB);
    // Not zero, so that every page is really touched.
    let block = vec![0xa5; mib * 1024 * 1024];
    ALLOCATED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(block);
    format!("holding {mib} MiB more\n")
}
