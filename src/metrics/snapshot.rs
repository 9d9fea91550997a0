//! What a worker is given to answer a scrape with: everything, at one instant. It travels as JSON in a sealed memory file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::totals::Totals;

/// No snapshot is longer, in bytes.
pub const MOST_BYTES: u64 = 16 << 20;

/// The whole cluster at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What was counted by all lives there ever were under this incarnation.
    pub totals: Totals,
    /// The master, and what it alone knows.
    pub master: MasterFacts,
    /// Every slot, in order.
    pub slots: Vec<SlotFacts>,
    /// How many lives ended, by cause.
    pub exits: BTreeMap<String, u64>,
    /// How many slots are in which state; every state is named.
    pub states: BTreeMap<String, u64>,
    /// Connections open now, with those of workers that drain.
    pub connections: u64,
    /// Requests being answered now, with those of workers that drain.
    pub in_flight: u64,
    /// Workers that drain.
    pub draining: u64,
}

/// The master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterFacts {
    /// Which generation the cluster is committed to.
    pub generation: u64,
    /// How often a master was started over this data directory.
    pub incarnation: u64,
    /// Since it began, in milliseconds.
    pub uptime_ms: u64,
    /// Its memory in RAM, in bytes.
    pub rss_bytes: Option<u64>,
    /// Its CPU time, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Its open descriptors.
    pub fds: u64,
}

/// One slot, and the worker in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// Its number.
    pub slot: u16,
    /// How many connections wait for it to accept them.
    pub queue: Option<u64>,
    /// Its share of new connections against an equal one; zero while it gets none.
    pub weight: f64,
    /// What its worker was started from, or the next one will be.
    pub generation: u64,
    /// The age of its worker's oldest beat, in milliseconds.
    pub beat_age_ms: Option<u64>,
    /// Its worker's memory in RAM, in bytes.
    pub rss_bytes: Option<u64>,
    /// Its worker's open connections.
    pub connections: u64,
}
