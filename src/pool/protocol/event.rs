//! What can happen to a pool: past tense, gathered by the shell from pidfds, sockets, signals, scoreboards
//! and clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Activity, Exit, OrphanedWork, Policy};
use crate::base::ids::{Life, Slot};
use crate::base::time::Monotonic;

/// One thing that happened. An event about a life that no slot and no drain list knows is dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time passed: `next_deadline` was reached. The shell sends it last, after one `Observed`
    /// for every live worker (draining ones included), so that whatever is decided by the time is decided on
    /// fresh samples.
    Looked,
    /// The shell did as [`crate::pool::Effect::Spawn`] told it.
    Spawned {
        /// Who.
        life: Life,
        /// For people; never an identity.
        pid: i32,
    },
    /// It could not (no memory, no pids, no fds, the binary is no program).
    SpawnFailed {
        /// Who.
        life: Life,
        /// The system's words.
        reason: String,
    },
    /// The worker said something on its notify socket.
    Notified {
        /// Who.
        life: Life,
        /// What.
        notification: Notification,
    },
    /// The shell looked at the worker's scoreboard, as it does for every live worker each time
    /// `next_deadline` is reached.
    Observed {
        /// Whose.
        life: Life,
        /// What it said.
        sample: Sample,
    },
    /// The evidence asked for by [`crate::pool::Effect::Examine`].
    Examined {
        /// Whose.
        life: Life,
        /// What it was doing.
        activity: Activity,
    },
    /// Its pidfd became readable and it was reaped.
    Died {
        /// Who.
        life: Life,
        /// How.
        exit: Exit,
        /// Whether the kernel killed it for memory (the shell reads its cgroup's counter before and after).
        oom: bool,
    },
    /// Its readiness was asked for by [`crate::pool::Effect::Probe`], and this is its answer.
    Probed {
        /// Whose.
        life: Life,
        /// Whether it holds, or its words.
        verdict: Result<(), String>,
    },
    /// It could not be told of an work, as [`crate::pool::Effect::TakeOver`] told.
    NotTakenOver {
        /// Who.
        by: Life,
        /// Whose work.
        work: OrphanedWork,
    },
    /// It could not be handed another slot's queue, as [`crate::pool::Effect::Adopt`] told, or has no room
    /// for it.
    NotAdopted {
        /// Who.
        by: Life,
        /// Whose queue.
        slot: Slot,
    },
    /// A worker of an earlier incarnation, which had outlived its master, is gone. It may have begun work
    /// after its work was taken over with the others.
    OrphanEnded {
        /// Who.
        life: Life,
    },
    /// An by has taken over everything an work left behind.
    TakenOver {
        /// Who did.
        by: Life,
        /// Whose work.
        work: OrphanedWork,
    },
    /// A person wants something: a signal, or a client of the control socket.
    Asked {
        /// Who waits for the verdict.
        ticket: Ticket,
        /// What.
        request: Request,
    },
    /// The configuration was read and the binary opened, as [`crate::pool::Effect::Load`] told: the new
    /// generation's policy, or why there is none.
    Loaded(Result<Policy, NotLoaded>),
    /// The binary on disk was asked whether it could go on from here as the master, as
    /// [`crate::pool::Effect::Rehearse`] told: it could, or why not.
    Rehearsed(Result<(), String>),
    /// It has taken over (said first of all by the new master, of this version), or could not be executed
    /// after all (said by the old one). See [`crate::pool::Effect::HandOver`].
    Upgraded(Result<String, String>),
}

/// What one look at a worker's scoreboard says. Every number is a stranger's: counters may fall, beats may
/// stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The oldest of its beats (each thread that vouches for work stamps its own); the shell has already
    /// clamped what lies in the future to the instant it looked.
    pub beat: Monotonic,
    /// Since when it has held a store lock.
    pub lock_held_since: Option<Monotonic>,
    /// Open connections.
    pub connections: u32,
    /// Requests that are being answered.
    pub in_flight: u32,
    /// Connections accepted in its life.
    pub accepted: u64,
    /// Requests answered in its life.
    pub requests: u64,
    /// Of those, with 5xx.
    pub server_errors: u64,
    /// Connections told 503 in its life because it had no room for them; none of these is among the requests.
    pub refused: u64,
    /// How late its runtime ran its last beat.
    pub loop_lag: Duration,
    /// Resident bytes; `None` when the shell did not read them this time.
    pub rss: Option<u64>,
}

/// Names one request of one who waits for its verdict. 0 is nobody: a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Nobody waits.
    pub const NOBODY: Ticket = Ticket(0);
}

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// A new generation from the configuration and the binary as they are now (SIGHUP).
    Reload,
    /// The previous generation.
    Rollback,
    /// Another binary for the master itself, the one that is on disk now (SIGUSR2).
    Upgrade,
    /// That many slots.
    ScaleTo(u16),
    /// So many more or fewer slots (SIGTTIN: +1, SIGTTOU: -1).
    ScaleBy(i32),
    /// A new worker for a slot, before the old one goes.
    Restart(Slot),
    /// A slot's worker goes, and the slot stays empty until it is restarted.
    Drain(Slot),
    /// The end (SIGTERM, SIGINT, SIGQUIT).
    Stop(StopMode),
}

/// Why a generation could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotLoaded {
    /// The configuration cannot be read, has mistakes, or changes what a reload cannot.
    Configuration(String),
    /// The binary cannot be opened.
    Binary(String),
}

/// What a worker says on its notify socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// `READY=1`
    Ready,
    /// `STOPPING=1`
    Stopping,
    /// `STATUS=…`, bounded and printable.
    Status(String),
}

/// How much haste a stop has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopMode {
    /// Drain first (SIGTERM, SIGINT); a second one turns it into `AtOnce`.
    Graceful,
    /// Kill (SIGQUIT).
    AtOnce,
}
