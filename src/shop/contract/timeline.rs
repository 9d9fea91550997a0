//! What a service did for an order, as it tells it: the parts of which a timeline is made.

use serde::Serialize;

/// Which service acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceName {
    /// The order's own records.
    Orders,
    /// Stock.
    Inventory,
    /// Money.
    Payments,
}

/// One thing that happened to an order and is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// Milliseconds since 1970, by the clock of whoever did it.
    #[serde(skip)]
    pub at_ms: u64,
    /// Which service.
    pub service: ServiceName,
    /// Which step (`reserve`).
    pub step: &'static str,
    /// How it ended (`done`, `refused`).
    pub outcome: &'static str,
    /// The life of the worker that did it (`7/0/3`).
    pub worker: String,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a service could not tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read what was done for the order: {0}")]
pub struct TimelineError(pub String);
