//! Death certificates as `why` tells them: how a slot's lives ended, with everything that was seen. Times are in milliseconds,
//! sizes in bytes.

use serde::{Deserialize, Serialize};

use crate::base::ids::{Generation, Life, Slot};

/// The last deaths of one slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Which.
    pub slot: Slot,
    /// What it does now, in one word; `None` when the slot is gone since.
    pub state: Option<String>,
    /// The newest first; a bounded number is kept.
    pub deaths: Vec<Death>,
}

/// How one life ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Death {
    /// Whose.
    pub life: Life,
    /// Of what.
    pub generation: Generation,
    /// How long ago.
    pub ago_ms: u64,
    /// How long it had lived.
    pub lived_ms: u64,
    /// One word for what ended it, for programs: `exit`, `signal`, `oom`, `hang` and so on.
    pub kind: String,
    /// What ended it, in words.
    pub cause: String,
    /// What followed for its slot.
    pub decision: String,
    /// The exit code, when it returned one.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its state in `/proc` right before the master killed it, if the master did: R, S, D, T.
    pub process_state: Option<char>,
    /// What it waited for in the kernel at that moment.
    pub wait_channel: Option<String>,
    /// Its memory.
    pub memory: Memory,
    /// What it was answering: nobody got these answers.
    pub in_flight: Vec<RequestSeen>,
    /// How many more it was answering than are listed.
    pub in_flight_unlisted: u32,
    /// The last lines it wrote to stderr, the newest last.
    pub stderr: Vec<String>,
}

/// What is known of a dead life's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The most it ever had in RAM.
    pub peak_rss_bytes: Option<u64>,
    /// What its control group may have in RAM.
    pub limit_bytes: Option<u64>,
    /// Whether the kernel killed something in that group for want of memory when this life ended.
    pub oom_kill: bool,
    /// Whether that may have been somebody else: no group counts here, and the whole machine's count went up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_kill_maybe_elsewhere: bool,
}

/// One request that a worker was answering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSeen {
    /// GET, POST and so on, cut and printable.
    pub method: String,
    /// The path, cut and printable.
    pub path: String,
    /// For how long it had been answered at the worker's end.
    pub age_ms: u64,
}
