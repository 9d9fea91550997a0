//! What several messages of the pool speak of: the policy of a generation, the work of the dead, how
//! processes end and why they are killed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::backoff::Backoff;
use crate::base::ids::{Incarnation, Life};

/// The part of a generation's settings that the pool decides by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The number of slots.
    pub workers: u16,
    /// The distance of two points of the beats' grid.
    pub heartbeat_interval: Duration,
    /// A worker whose beat is older than this gets no new connections.
    pub late_after: Duration,
    /// A worker whose beat is older than this is killed.
    pub heartbeat_timeout: Duration,
    /// A late holder of a store lock is killed after this.
    pub lock_hold_timeout: Duration,
    /// How long a worker may boot.
    pub ready_timeout: Duration,
    /// How long a cluster that is to stop serves on while its readiness says no.
    pub stop_delay: Duration,
    /// How long a worker may drain.
    pub drain_timeout: Duration,
    /// How long the canary of a rollout has to hold out.
    pub bake_time: Duration,
    /// A life that was shorter than this ended early.
    pub early_death: Duration,
    /// How long a slot stays empty after early deaths.
    pub backoff: Backoff,
    /// More early deaths than this within `restart_window` open a slot's breaker.
    pub restart_limit: u32,
    /// The time within which early deaths are counted.
    pub restart_window: Duration,
    /// While this many workers drain, no worker is replaced. When more drain than this and the most slots
    /// there ever were, the worker that has drained longest is killed.
    pub max_draining: u16,
    /// A worker that has answered this many requests (less up to a tenth, by chance) is replaced.
    pub max_requests: Option<u64>,
    /// A worker that has more resident bytes than this is replaced.
    pub max_rss: Option<u64>,
    /// A worker that has served this long (less up to a tenth, by chance) is replaced.
    pub max_age: Option<Duration>,
    /// Whether each worker runs a program of the user's. Such workers cannot accept for each other and have
    /// to hand on each connection, so the accept queue of a slot waits for the slot's own worker while that
    /// starts or is late, and is served by another one only when there is none. Nobody counts the requests of
    /// a program.
    pub runs_programs: bool,
}

/// The unfinished work of the dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanedWork {
    /// What one life left behind.
    Life(Life),
    /// What all lives of incarnations before this one left behind.
    Before(Incarnation),
}

impl fmt::Display for OrphanedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrphanedWork::Life(life) => write!(f, "{life}"),
            OrphanedWork::Before(incarnation) => write!(f, "all incarnations before {incarnation}"),
        }
    }
}

/// How the cluster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It stopped as asked, and nothing was cut.
    Stopped,
    /// It stopped as asked, and some requests were cut.
    Cut,
    /// No worker was ever ready, and every slot's first three lives left by themselves with an exit code (or
    /// could not be spawned): the program does not start, and trying for ever would only hide it.
    NeverReady,
}

/// Why a worker was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillReason {
    /// Its beat was older than `heartbeat_timeout`.
    Hung(Activity),
    /// Its beat was late while it held a store lock.
    HeldLock(Activity),
    /// It was not ready within `ready_timeout`.
    NeverReady,
    /// It had not drained within `drain_timeout`.
    DrainTimeout,
    /// Too many workers drained at once.
    DrainLimit,
    /// The cluster stops at once.
    StopAtOnce,
    /// Its rollout was backed out before it was ready.
    BackedOut,
    /// It was to take over a slot, which is not wanted any more.
    NotNeeded,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessExit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessExit::Code(code) => write!(f, "exited with code {code}"),
            ProcessExit::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// What a late worker was found doing, from two readings of `/proc/PID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// Runnable, and its CPU time has not moved since the last reading: it got no CPU, which is not its
    /// fault.
    Starved,
    /// Runnable and its CPU time moves: it spins.
    Spinning,
    /// Asleep (S) with a late beat: it waits for something that is not its event loop.
    Blocked,
    /// A thread of it is in an uninterruptible wait (D), as for a disk: a kill would wait for the same.
    Disk,
    /// Stopped by a signal or a debugger (T, t).
    Stopped,
    /// Gone or unreadable.
    Unknown,
}
