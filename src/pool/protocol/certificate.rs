//! Death certificates: for each life that ended, what ended it, what the worker was doing, and what was
//! decided then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{KillReason, ProcessExit};
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;

/// How many certificates are kept per slot; the oldest go first.
pub const KEPT: usize = 16;

/// How the life of one worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The life that ended.
    pub life: Life,
    /// The worker's generation.
    pub generation: Generation,
    /// When the life ended.
    pub at: Monotonic,
    /// The time from its fork to its end.
    pub lived: Duration,
    /// Whether the worker ever was ready.
    pub was_ready: bool,
    /// What ended it.
    pub cause: Cause,
    /// How the process ended; `None` when there never was one.
    pub exit: Option<ProcessExit>,
    /// Why it did not do its work at the end, in its own words.
    pub trouble: Option<String>,
    /// The age of its last beat when it ended or was killed, for a worker that beat.
    pub beat_age: Option<Duration>,
    /// Open connections at the last look.
    pub connections: u32,
    /// Requests in flight at the last look.
    pub in_flight: u32,
    /// Resident bytes when last read.
    pub rss: Option<u64>,
    /// What followed for the slot.
    pub decision: Decision,
}

/// What ended a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// The worker left by itself after it had been ready, without having been asked.
    Exited,
    /// A signal ended the worker that the master had not sent.
    Signalled,
    /// The kernel killed the worker for want of memory.
    OutOfMemory,
    /// The master killed the worker: it hung, or it was late with a store's lock.
    Hung {
        /// Why it was killed, and what it was doing.
        reason: KillReason,
    },
    /// The worker ended, or was killed, before it was ready.
    BootFailed {
        /// Why it was killed, if it was.
        killed: Option<KillReason>,
    },
    /// The system refused to start the worker.
    SpawnFailed {
        /// The system's words.
        reason: String,
    },
    /// The worker was asked to go.
    Retired {
        /// Why it was asked to go.
        purpose: Purpose,
        /// Why it was killed while it drained, if it was.
        cut: Option<KillReason>,
    },
}

/// Why a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The worker went unasked, by saying STOPPING.
    Itself,
    /// Its slot was given to another generation.
    Reload,
    /// Its rollout was backed out.
    BackOut,
    /// The worker was to take over a slot and was not needed any more.
    NotNeeded,
    /// The worker had answered `max_requests`.
    MaxRequests,
    /// The worker was larger than `max_rss`.
    MaxRss,
    /// The worker was older than `max_age`.
    MaxAge,
    /// A person asked for the slot's restart.
    Restart,
    /// A person asked for the slot to be drained.
    Drain,
    /// Its slot was removed.
    ScaleDown,
    /// The cluster stops.
    Stop,
}

/// What was decided when a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decision {
    /// Its slot is filled again after this.
    RestartIn {
        /// How long the slot stays empty; zero: it is filled at once.
        wait: Duration,
        /// Whether the slot's breaker is open, so that only slow tries are made.
        degraded: bool,
    },
    /// Another worker had the slot already.
    Replaced {
        /// The life of that worker.
        by: Life,
    },
    /// No worker follows.
    None,
}

/// The causes, without their details, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// See [`Cause::Exited`].
    Exit,
    /// See [`Cause::Signalled`].
    Signal,
    /// See [`Cause::OutOfMemory`].
    OutOfMemory,
    /// See [`Cause::Hung`].
    Hang,
    /// See [`Cause::BootFailed`].
    Boot,
    /// See [`Cause::SpawnFailed`].
    Spawn,
    /// The worker left its slot by itself.
    Itself,
    /// A reload, or one that was backed out.
    Reload,
    /// `max_requests`, `max_rss`, `max_age`.
    Recycle,
    /// On request: restart or drain.
    Request,
    /// The slot was removed.
    ScaleDown,
    /// The cluster stops.
    Stop,
}

impl CauseKind {
    /// Every one.
    pub const ALL: [CauseKind; 12] = [
        CauseKind::Exit,
        CauseKind::Signal,
        CauseKind::OutOfMemory,
        CauseKind::Hang,
        CauseKind::Boot,
        CauseKind::Spawn,
        CauseKind::Itself,
        CauseKind::Reload,
        CauseKind::Recycle,
        CauseKind::Request,
        CauseKind::ScaleDown,
        CauseKind::Stop,
    ];

    /// As printed and as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CauseKind::Exit => "exit",
            CauseKind::Signal => "signal",
            CauseKind::OutOfMemory => "out_of_memory",
            CauseKind::Hang => "hang",
            CauseKind::Boot => "boot",
            CauseKind::Spawn => "spawn",
            CauseKind::Itself => "itself",
            CauseKind::Reload => "reload",
            CauseKind::Recycle => "recycle",
            CauseKind::Request => "request",
            CauseKind::ScaleDown => "scale_down",
            CauseKind::Stop => "stop",
        }
    }
}

impl Cause {
    /// To count by.
    #[must_use]
    pub fn kind(&self) -> CauseKind {
        match self {
            Cause::Exited => CauseKind::Exit,
            Cause::Signalled => CauseKind::Signal,
            Cause::OutOfMemory => CauseKind::OutOfMemory,
            Cause::Hung { .. } => CauseKind::Hang,
            Cause::BootFailed { .. } => CauseKind::Boot,
            Cause::SpawnFailed { .. } => CauseKind::Spawn,
            Cause::Retired { purpose, .. } => purpose.kind(),
        }
    }
}

impl Purpose {
    fn kind(self) -> CauseKind {
        match self {
            Purpose::Itself => CauseKind::Itself,
            Purpose::Reload | Purpose::BackOut | Purpose::NotNeeded => CauseKind::Reload,
            Purpose::MaxRequests | Purpose::MaxRss | Purpose::MaxAge => CauseKind::Recycle,
            Purpose::Restart | Purpose::Drain => CauseKind::Request,
            Purpose::ScaleDown => CauseKind::ScaleDown,
            Purpose::Stop => CauseKind::Stop,
        }
    }
}
