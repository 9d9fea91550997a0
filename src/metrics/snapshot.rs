//! What a worker is given to answer a scrape with: everything, at one instant. It travels as JSON in a sealed
//! memory file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::totals::Totals;

/// The longest snapshot, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;

/// The whole cluster at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What all lives under this incarnation have counted.
    pub totals: Totals,
    /// What is known about the master.
    pub master: MasterFacts,
    /// Every slot, in order.
    pub slots: Vec<SlotFacts>,
    /// How many lives ended, by cause.
    pub exits: BTreeMap<String, u64>,
    /// How many slots are in which state; every state is named.
    pub states: BTreeMap<String, u64>,
    /// Connections open now, with those of workers that drain.
    pub connections: u64,
    /// Connections that have switched to another protocol, with those of workers that drain.
    #[serde(default)]
    pub upgraded: u64,
    /// Answers of unknown length that are being sent, with those of workers that drain.
    #[serde(default)]
    pub streams: u64,
    /// Requests being answered now, with those of workers that drain.
    pub in_flight: u64,
    /// Workers that drain.
    pub draining: u64,
}

/// What is known about the master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterFacts {
    /// The generation that the cluster is committed to.
    pub generation: u64,
    /// How often a master was started over this data directory.
    pub incarnation: u64,
    /// The time since the master began, in milliseconds.
    pub uptime_ms: u64,
    /// The master's memory in RAM, in bytes.
    pub rss_bytes: Option<u64>,
    /// The master's CPU time, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// The number of descriptors that the master has open.
    pub fds: u64,
}

/// One slot, and the worker in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// The number of the slot.
    pub slot: u16,
    /// The number of connections that wait in its queue.
    pub queue: Option<u64>,
    /// Its share of new connections: 1 is an equal share, 0 gets none.
    pub weight: f64,
    /// The generation that its worker was started from, or the next worker will be.
    pub generation: u64,
    /// The age of its worker's oldest beat, in milliseconds.
    pub beat_age_ms: Option<u64>,
    /// Its worker's memory in RAM, in bytes.
    pub rss_bytes: Option<u64>,
    /// Its worker's open connections.
    pub connections: u64,
}
