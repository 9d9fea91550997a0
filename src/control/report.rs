//! What `status` answers: the master, its slots, and the workers that are in no slot. Times are in
//! milliseconds, sizes in bytes.

use serde::{Deserialize, Serialize};

use crate::base::ids::{Epoch, Generation, Incarnation, Slot};

/// The state of the whole cluster at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The master process.
    pub master: MasterReport,
    /// Every slot, by its number.
    pub slots: Vec<SlotReport>,
    /// Workers in no slot: the replacement that a rollout has started, and the workers that drain.
    pub beside: Vec<WorkerReport>,
}

/// The master process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterReport {
    /// The program's name.
    pub program: String,
    /// Its process id.
    pub pid: u32,
    /// Time since the master began to serve, in milliseconds.
    pub uptime_ms: u64,
    /// The version of the binary that the master runs.
    pub version: String,
    /// When that binary's file was written (RFC 3339, UTC).
    pub binary_written: Option<String>,
    /// Time since the master has run that binary, in milliseconds.
    pub binary_for_ms: u64,
    /// Number of upgrades in this process.
    pub upgrades: u32,
    /// What the master is doing.
    pub state: MasterState,
    /// Number of times that a master was started on this data directory.
    pub incarnation: Incarnation,
    /// The generation that the cluster runs, or returns to when a rollout fails.
    pub generation: Generation,
    /// The addresses that clients connect to.
    pub addresses: Vec<String>,
    /// Those of them whose one queue all workers share, so that their connections cannot be steered: the
    /// service manager passed one socket.
    #[serde(default)]
    pub unsteered: Vec<String>,
    /// The master's resident memory, in bytes.
    pub rss_bytes: Option<u64>,
    /// The master's CPU time, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Number of open file descriptors.
    pub fds: usize,
    /// Number of workers that drain.
    pub draining: usize,
    /// Whether no worker can serve, because the workers of every slot keep dying, and a stub answers 503.
    #[serde(default)]
    pub refuses: bool,
    /// Time until the drain begins, in milliseconds, if the cluster was asked to stop and serves on until
    /// then (`cluster.stop_delay`).
    #[serde(default)]
    pub stops_in_ms: Option<u64>,
    /// How the last reload, rollback, upgrade or failed scaling ended, whoever asked for it; `None` before
    /// the first.
    #[serde(default)]
    pub last_verdict: Option<LastVerdict>,
}

/// How the last operation on the whole cluster ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastVerdict {
    /// The operation.
    pub operation: OperationKind,
    /// How it ended.
    pub result: OperationResult,
    /// Why it failed or was refused.
    pub reason: Option<String>,
    /// The generation that was tried, for a reload or a rollback.
    pub generation: Option<Generation>,
    /// Time since it ended, in milliseconds.
    pub ago_ms: u64,
}

/// An operation on the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// The rollout of a new generation.
    Reload,
    /// The return to the previous generation.
    Rollback,
    /// The upgrade of the master's binary.
    Upgrade,
    /// The change of the number of slots.
    Scale,
}

impl OperationKind {
    /// The word that `status` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OperationKind::Reload => "reload",
            OperationKind::Rollback => "rollback",
            OperationKind::Upgrade => "upgrade",
            OperationKind::Scale => "scale",
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationResult {
    /// It was carried out.
    Done,
    /// It was begun and failed: what served before serves on.
    BackedOut,
    /// It was not begun.
    Refused,
}

impl OperationResult {
    /// The words that `status` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OperationResult::Done => "done",
            OperationResult::BackedOut => "backed out",
            OperationResult::Refused => "refused",
        }
    }
}

/// What a master is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterState {
    /// The cluster serves.
    Running,
    /// The cluster serves, and one generation is replaced by another.
    Reloading,
    /// The cluster serves, and another binary is asked whether it can become the master.
    Upgrading,
    /// The cluster stops, or will stop after its `stop_delay`.
    Stopping,
}

impl MasterState {
    /// The word that `status` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MasterState::Running => "running",
            MasterState::Reloading => "reloading",
            MasterState::Upgrading => "upgrading",
            MasterState::Stopping => "stopping",
        }
    }
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// The number of the slot.
    pub slot: Slot,
    /// The state of its worker, or why it has none, in one word.
    pub state: String,
    /// The generation of its worker; of the next worker when the slot is empty.
    pub generation: Generation,
    /// The worker in the slot.
    pub worker: Option<WorkerReport>,
    /// Number of its workers that ended without being asked to, since the master started.
    pub restarts: u32,
    /// How and why its last worker ended.
    pub last_cause: Option<String>,
    /// Number of connections that wait in the accept queues of its listeners.
    pub queue: Option<u32>,
    /// Its share of new connections, relative to the other slots; `None` while it gets no new connections.
    pub weight: Option<u16>,
    /// Time until an empty slot gets its next worker, in milliseconds.
    pub filled_in_ms: Option<u64>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The slot that the worker is in, or was in.
    pub slot: Slot,
    /// How often that slot had been filled when this worker started.
    pub epoch: Epoch,
    /// The generation that the worker is of.
    pub generation: Generation,
    /// Its process id, once the process exists.
    pub pid: Option<i32>,
    /// The state of the worker, in one word.
    pub state: String,
    /// Time since its fork, in milliseconds.
    pub uptime_ms: u64,
    /// Number of open connections.
    pub connections: u32,
    /// Number of these connections that have switched to another protocol, such as WebSockets.
    #[serde(default)]
    pub upgraded: u32,
    /// Number of answers of unknown length that the worker is sending, such as event streams.
    #[serde(default)]
    pub streams: u32,
    /// Number of requests that the worker is handling.
    pub in_flight: u32,
    /// Number of requests since the worker started.
    pub requests: u64,
    /// Number of responses with status 5xx since the worker started.
    pub failed: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<u64>,
    /// CPU time, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Age of its oldest beat, in milliseconds.
    pub beat_age_ms: Option<u64>,
    /// What the worker last sent as `STATUS=`.
    pub status: Option<String>,
}
