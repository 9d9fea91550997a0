//! Death certificates: for each life that ended, what ended it, what it was doing, and what was decided then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Exit, KillReason};
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;

/// So many are kept per slot, the oldest go first.
pub const KEPT: usize = 16;

/// One life's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Who.
    pub life: Life,
    /// Of what.
    pub generation: Generation,
    /// When it ended.
    pub at: Monotonic,
    /// From its fork to its end.
    pub lived: Duration,
    /// Whether it ever was ready.
    pub was_ready: bool,
    /// What ended it.
    pub cause: Cause,
    /// How the process ended; `None` when there never was one.
    pub exit: Option<Exit>,
    /// The age of its last beat when it ended or was killed, for a worker that beat.
    pub beat_age: Option<Duration>,
    /// Open connections at the last look.
    pub connections: u32,
    /// Requests in flight at the last look.
    pub in_flight: u32,
    /// Resident bytes when last read.
    pub rss: Option<u64>,
    /// What followed.
    pub decision: Decision,
}

/// What ended a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// It left by itself after it had been ready, unasked.
    Exited,
    /// A signal that was not ours.
    Signalled,
    /// The kernel killed it for memory.
    OutOfMemory,
    /// It was killed: hung, or late with a store's lock.
    Hung {
        /// What it did.
        reason: KillReason,
    },
    /// It ended, or was killed, before it was ready.
    BootFailed {
        /// Set when it was killed.
        killed: Option<KillReason>,
    },
    /// The system refused to start it.
    SpawnFailed {
        /// The system's words.
        reason: String,
    },
    /// It was asked to go.
    Retired {
        /// What for.
        purpose: Purpose,
        /// Set when its drain was cut.
        cut: Option<KillReason>,
    },
}

/// What a worker is asked to go for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It went unasked, by saying STOPPING.
    Itself,
    /// Its slot was given to another generation.
    Reload,
    /// Its rollout was backed out.
    BackOut,
    /// It stood ready to replace another one and was not needed any more.
    NotNeeded,
    /// It had answered `max_requests`.
    MaxRequests,
    /// It was larger than `max_rss`.
    MaxRss,
    /// It was older than `max_age`.
    MaxAge,
    /// Somebody asked for the slot's restart.
    Restart,
    /// Somebody asked for the slot to be drained.
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
        /// Zero: at once.
        wait: Duration,
        /// Whether the slot's breaker is open, so that only slow tries are made.
        degraded: bool,
    },
    /// Somebody else had its place already.
    Replaced {
        /// Who.
        by: Life,
    },
    /// Nobody follows.
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
    /// It left its place by itself.
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
