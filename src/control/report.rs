//! What `status` tells: the master, its slots, and the workers that are in no slot. Times are in milliseconds, sizes in bytes.

use serde::{Deserialize, Serialize};

use crate::base::ids::{Epoch, Generation, Incarnation, Slot};

/// How everything is at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The master.
    pub master: MasterReport,
    /// Every slot, in order.
    pub slots: Vec<SlotReport>,
    /// Workers in no slot: the newcomer of a rollout, and those who drain.
    pub beside: Vec<WorkerReport>,
}

/// The master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterReport {
    /// The program's name.
    pub program: String,
    /// Its process.
    pub pid: u32,
    /// Since it began to serve.
    pub uptime_ms: u64,
    /// The version of the binary it runs.
    pub version: String,
    /// When that binary's file was written (RFC 3339, UTC).
    pub binary_written: Option<String>,
    /// Since when it runs that binary.
    pub binary_for_ms: u64,
    /// How often another binary took over in this process.
    pub upgrades: u32,
    /// What it does.
    pub state: State,
    /// How often a master was started over this data directory.
    pub incarnation: Incarnation,
    /// The generation the cluster is committed to.
    pub generation: Generation,
    /// Where clients come in.
    pub addresses: Vec<String>,
    /// Its memory in RAM.
    pub rss_bytes: Option<u64>,
    /// Its CPU time.
    pub cpu_ms: Option<u64>,
    /// Its open descriptors.
    pub fds: usize,
    /// How many workers drain.
    pub draining: usize,
}

/// What a master does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It serves.
    Running,
    /// It serves, and replaces one generation by another.
    Reloading,
    /// It serves, and asks another binary whether it can become the master.
    Upgrading,
    /// It ends.
    Stopping,
}

impl State {
    /// As printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Reloading => "reloading",
            State::Upgrading => "upgrading",
            State::Stopping => "stopping",
        }
    }
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// Which.
    pub slot: Slot,
    /// What its worker does, or why it has none, in one word.
    pub state: String,
    /// What it is filled with now, or next when it is empty.
    pub generation: Generation,
    /// Who is in it.
    pub worker: Option<WorkerReport>,
    /// Lives that ended unasked since the master started.
    pub restarts: u32,
    /// How the last life ended, and why.
    pub last_cause: Option<String>,
    /// Connections that wait in the accept queues of its listeners.
    pub queue: Option<u32>,
    /// Its share of new connections against the other slots'; none while it gets no new ones.
    pub weight: Option<u16>,
    /// When an empty slot is filled again, from now.
    pub filled_in_ms: Option<u64>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The slot it fills, or filled.
    pub slot: Slot,
    /// Which filling of it.
    pub epoch: Epoch,
    /// Of what.
    pub generation: Generation,
    /// Its process, once it has one.
    pub pid: Option<i32>,
    /// What it does, in one word.
    pub state: String,
    /// Since its fork.
    pub uptime_ms: u64,
    /// Open connections.
    pub connections: u32,
    /// Requests it is answering.
    pub in_flight: u32,
    /// Requests since its boot.
    pub requests: u64,
    /// Answers of 5xx since its boot.
    pub failed: u64,
    /// Its memory in RAM.
    pub rss_bytes: Option<u64>,
    /// Its CPU time.
    pub cpu_ms: Option<u64>,
    /// The age of its oldest beat.
    pub beat_age_ms: Option<u64>,
    /// Its own words about itself.
    pub status: Option<String>,
}
