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
    /// How many slots.
    pub workers: u16,
    /// The distance of two points of the beats' grid.
    pub heartbeat_interval: Duration,
    /// A beat older than this kills.
    pub heartbeat_timeout: Duration,
    /// A late holder of a store lock is killed after this.
    pub lock_hold_timeout: Duration,
    /// Booting has this long.
    pub ready_timeout: Duration,
    /// Draining has this long.
    pub drain_timeout: Duration,
    /// The canary of a rollout has to hold out this long.
    pub bake_time: Duration,
    /// A shorter life is an early death.
    pub early_death: Duration,
    /// The wait between restarts of one slot after early deaths.
    pub backoff: Backoff,
    /// More deaths than this per window open a slot's breaker.
    pub restart_limit: u32,
    /// That window.
    pub restart_window: Duration,
    /// While so many drain, nobody is replaced. Past this and the most slots there ever were, the longest
    /// drain is cut.
    pub max_draining: u16,
    /// A worker that has answered so many requests (less up to a tenth, by chance) is replaced.
    pub max_requests: Option<u64>,
    /// A worker that is larger than so many resident bytes is replaced.
    pub max_rss: Option<u64>,
    /// A worker that has served so long (less up to a tenth, by chance) is replaced.
    pub max_age: Option<Duration>,
}

/// Whose unfinished work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanedWork {
    /// One life that ended.
    Life(Life),
    /// Every life of every earlier incarnation.
    Before(Incarnation),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As asked, and nothing was cut.
    Stopped,
    /// As asked, and some drains were cut.
    Cut,
    /// No worker was ever ready, and every slot's first three lives left by themselves with an exit code (or
    /// could not be spawned): the program does not start, and trying for ever would only hide it.
    NeverReady,
}

/// Why a worker was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillReason {
    /// Its beat is older than `heartbeat_timeout`.
    Hung(Activity),
    /// It was late while it held a store lock.
    HeldLock(Activity),
    /// Not ready within `ready_timeout`.
    NeverReady,
    /// Not drained within `drain_timeout`.
    DrainTimeout,
    /// Too many drained at once.
    DrainLimit,
    /// The cluster stops at once.
    StopAtOnce,
    /// Its rollout was backed out before it was ready.
    BackedOut,
    /// It was to replace another one, which is not wanted any more.
    NotNeeded,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// What a late worker was found doing, from two readings of `/proc/PID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// Runnable, and its CPU time has not moved since the last reading: it got no CPU. Not its fault.
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
