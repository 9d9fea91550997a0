//! What `why` answers: how the last workers of a slot ended, with everything that was seen. Times are in
//! milliseconds, sizes in bytes.

use serde::{Deserialize, Serialize};

use crate::base::ids::{Generation, Life, Slot};

/// How the last workers of one slot ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeathReport {
    /// The number of the slot.
    pub slot: Slot,
    /// The slot's state now, in one word; `None` when the slot was removed.
    pub state: Option<String>,
    /// The last deaths, newest first; at most 16 are kept.
    pub deaths: Vec<Death>,
}

/// How one life of a worker ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Death {
    /// The life that ended.
    pub life: Life,
    /// The generation that the worker was of.
    pub generation: Generation,
    /// Time since the death, in milliseconds.
    pub ago_ms: u64,
    /// Time from the fork to the death, in milliseconds.
    pub lived_ms: u64,
    /// One word for the cause, for programs: `exit`, `signal`, `out_of_memory`, `hang` and so on.
    pub kind: String,
    /// The cause, in words.
    pub cause: String,
    /// What happened to the slot afterwards, in words.
    pub decision: String,
    /// The exit code, when the worker exited by itself.
    pub exit_code: Option<i32>,
    /// The number of the signal that ended the worker.
    pub signal: Option<i32>,
    /// The process state in `/proc` right before the master killed the worker: R, S, D, T.
    pub process_state: Option<char>,
    /// The kernel function that the worker waited in at that moment.
    pub wait_channel: Option<String>,
    /// Which process of the worker's program these two are about; `None`: the worker itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The worker's memory.
    pub memory: MemoryUse,
    /// The requests that the worker was handling; their clients got no answer.
    pub in_flight: Vec<UnfinishedRequest>,
    /// Number of further requests that the worker was handling and that are not listed.
    pub in_flight_unlisted: u32,
    /// The last lines that the worker wrote to stderr, newest last.
    pub stderr: Vec<String>,
}

/// What is known of a dead worker's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The largest resident size that the worker ever had.
    pub peak_rss_bytes: Option<u64>,
    /// The memory limit of its control group.
    pub limit_bytes: Option<u64>,
    /// Whether the kernel's OOM killer killed a process of that group when this worker ended.
    pub oom_kill: bool,
    /// Whether that may have been another process: no control group counts here, only the counter of the
    /// whole machine rose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_kill_maybe_elsewhere: bool,
}

/// One request that a worker was handling when it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedRequest {
    /// The method (GET, POST), shortened, without control characters.
    pub method: String,
    /// The path, shortened, without control characters.
    pub path: String,
    /// Time from the request's start to the worker's end, in milliseconds.
    pub age_ms: u64,
}
