//! What each service did for an order: the entries that make an order's timeline.

use serde::Serialize;

use crate::base::ids::Life;

/// The service that acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceName {
    /// Orders: placing, claims, the end of the order.
    Orders,
    /// Inventory: the goods.
    Inventory,
    /// Payments: the money.
    Payments,
}

/// One thing that happened to an order and is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// When, in milliseconds since 1970 by the shop's steady clock.
    #[serde(skip)]
    pub at_ms: u64,
    /// The service that acted.
    pub service: ServiceName,
    /// The step (`reserve`).
    pub step: &'static str,
    /// How the step ended (`done`, `refused`).
    pub outcome: &'static str,
    /// The life of the worker that acted (`7/0/3`).
    pub worker: Life,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a service could not read what it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read what was done for the order: {0}")]
pub struct TimelineError(pub String);
