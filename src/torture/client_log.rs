//! The clients' own records: what was asked, what was answered. Independent of everything the cluster says
//! about itself.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::workload::PlannedOrder;

/// How an order ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// 201
    Confirmed,
    /// 402
    Declined,
    /// 409
    SoldOut,
    /// Any other refusal that names the order.
    Rejected(String),
    /// It waits for a person.
    Parked,
}

/// One order from its client's side.
#[derive(Clone, Debug)]
pub(super) struct AnsweredOrder {
    pub(super) planned: PlannedOrder,
    /// `ord_…`
    pub(super) id: String,
    pub(super) ending: Ending,
    /// Status and body of the answer that ended it.
    pub(super) answer: (u16, String),
    /// How often it was asked.
    pub(super) tries: u32,
}

impl AnsweredOrder {
    /// The total that the client was told, minor units, where the answer tells one.
    pub(super) fn told_total(&self) -> Option<u64> {
        let body: Value = serde_json::from_str(&self.answer.1).ok()?;
        body["total"]["amount"].as_u64()
    }
}

/// What the clients wrote down.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    entries: Mutex<Vec<AnsweredOrder>>,
    complaints: Mutex<Vec<String>>,
}

impl ClientLog {
    pub(super) fn enter(&self, entry: AnsweredOrder) {
        lock(&self.entries).push(entry);
    }

    /// Something that must not be was seen.
    pub(super) fn complain(&self, complaint: String) {
        lock(&self.complaints).push(complaint);
    }

    pub(super) fn entries(&self) -> Vec<AnsweredOrder> {
        lock(&self.entries).clone()
    }

    /// One of the latest entries.
    pub(super) fn recent(&self, random: &mut fastrand::Rng) -> Option<AnsweredOrder> {
        let entries = lock(&self.entries);
        let from = entries.len().saturating_sub(50);
        (!entries.is_empty()).then(|| entries[random.usize(from..entries.len())].clone())
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
