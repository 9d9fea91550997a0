//! Probes of a program, one after the other for as long as it lives, and how the last ones went.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::facts::ProgramFacts;
use super::liveness::{PROBES_IN_A_ROW, ProbeRecord};
use super::probe::{ProbeFailure, probe, probed_address};
use crate::base::time::Monotonic;
use crate::config::HttpPath;
use crate::sys::clock;

/// A probe costs the program a request, so they are not sent more often.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// An answer is not expected sooner, however short `heartbeat_timeout` is.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Probes that go on until this is dropped.
#[derive(Debug)]
pub struct Probing {
    record: Arc<Mutex<ProbeRecord>>,
    _task: JoinSet<()>,
}

impl Probing {
    /// Begins to probe: once in `interval`, but not more often than once in a second. As many as have to fail
    /// in a row take `timeout` together, unless that is very short. To be called inside the runtime.
    #[must_use]
    pub fn start(program: ProgramFacts, path: HttpPath, interval: Duration, timeout: Duration) -> Probing {
        let record = Arc::default();
        let mut task = JoinSet::new();
        let waits = ProbeWaits {
            pause: interval.max(SHORTEST_PAUSE),
            answer: (timeout / PROBES_IN_A_ROW).max(SHORTEST_WAIT),
        };
        task.spawn(probe_for_ever(program, path, waits, Arc::clone(&record)));
        Probing { record, _task: task }
    }

    /// How the last probes went.
    #[must_use]
    pub fn record(&self) -> ProbeRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone, Copy, Debug)]
struct ProbeWaits {
    pause: Duration,
    answer: Duration,
}

async fn probe_for_ever(
    program: ProgramFacts,
    path: HttpPath,
    waits: ProbeWaits,
    record: Arc<Mutex<ProbeRecord>>,
) {
    if let Err(reason) = probed_address(&program) {
        tracing::warn!("the program is not probed: {reason}");
    }
    loop {
        let (asked, now) = (Instant::now(), clock::now());
        let result = probe(&program, &path, waits.answer).await;
        note(&record, now, result.err());
        // One that was not answered for so long is followed by the next at once.
        tokio::time::sleep_until(asked + waits.pause).await;
    }
}

fn note(record: &Mutex<ProbeRecord>, asked: Monotonic, failure: Option<ProbeFailure>) {
    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
    match failure {
        None => *record = ProbeRecord::default(),
        // That says nothing of its health.
        Some(ProbeFailure::Unreachable(_)) => {}
        Some(failure) => {
            if record.failed == 0 {
                record.since = asked;
            }
            record.failed = record.failed.saturating_add(1);
            record.reason = failure.to_string();
        }
    }
}
