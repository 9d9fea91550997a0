//! The clients' own log: what they asked and what was answered. It does not depend on anything the cluster
//! says of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::workload::PlannedOrder;

/// How an order ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Answered with 201.
    Confirmed,
    /// Answered with 402.
    Declined,
    /// Answered with 409 and `out_of_stock`.
    SoldOut,
    /// Answered with another refusal that names the order; the text is its code.
    Rejected(String),
    /// The order waits for an operator.
    Parked,
}

/// One order as its client knows it.
#[derive(Clone, Debug)]
pub(super) struct AnsweredOrder {
    pub(super) planned: PlannedOrder,
    /// The id of the order, `ord_…`.
    pub(super) id: String,
    pub(super) ending: Ending,
    /// Status and body of the final answer.
    pub(super) answer: (u16, String),
    /// How often the client asked.
    pub(super) tries: u32,
}

impl AnsweredOrder {
    /// The total in the answer, in minor units; `None` when the answer has none.
    pub(super) fn answered_total(&self) -> Option<u64> {
        let body: Value = serde_json::from_str(&self.answer.1).ok()?;
        body["total"]["amount"].as_u64()
    }
}

/// The log of all clients.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    entries: Mutex<Vec<AnsweredOrder>>,
    complaints: Mutex<Vec<String>>,
    /// By how many pieces adjustments have changed the count of each article.
    adjusted: Mutex<BTreeMap<String, i64>>,
    edits: AtomicU64,
    over_grpc: AtomicU64,
}

impl ClientLog {
    pub(super) fn record(&self, entry: AnsweredOrder) {
        lock(&self.entries).push(entry);
    }

    /// Records something that must not happen.
    pub(super) fn complain(&self, complaint: String) {
        lock(&self.complaints).push(complaint);
    }

    pub(super) fn entries(&self) -> Vec<AnsweredOrder> {
        lock(&self.entries).clone()
    }

    /// One of the latest entries, drawn at random.
    pub(super) fn recent(&self, random: &mut fastrand::Rng) -> Option<AnsweredOrder> {
        let entries = lock(&self.entries);
        let from = entries.len().saturating_sub(50);
        (!entries.is_empty()).then(|| entries[random.usize(from..entries.len())].clone())
    }

    /// An editor was told that its edit stands.
    pub(super) fn edited(&self) {
        self.edits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    /// A client was told over gRPC how its order ended.
    pub(super) fn ended_over_grpc(&self) {
        self.over_grpc.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn over_grpc(&self) -> u64 {
        self.over_grpc.load(Ordering::Relaxed)
    }

    /// An editor was told that the count of an article was changed by so many pieces.
    pub(super) fn adjusted(&self, sku: &str, delta: i64) {
        *lock(&self.adjusted).entry(sku.to_owned()).or_default() += delta;
    }

    pub(super) fn adjustments(&self) -> BTreeMap<String, i64> {
        lock(&self.adjusted).clone()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
