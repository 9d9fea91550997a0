//! What can happen to a pool: past tense, gathered by the shell from pidfds, sockets, signals, scoreboards
//! and clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Activity, OrphanedWork, Policy, ProcessExit};
use crate::base::ids::{Life, Slot};
use crate::base::time::Monotonic;

/// One thing that happened. An event about a life that no slot and no drain list knows is dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time passed: `next_deadline` was reached. The shell sends it last, after one `Observed`
    /// for every live worker (draining ones included), so that whatever is decided by the time is decided on
    /// fresh samples.
    Looked,
    /// A worker was started, as [`crate::pool::Effect::Spawn`] told.
    Spawned {
        /// The life of the worker.
        life: Life,
        /// The process id, for people; never an identity.
        pid: i32,
    },
    /// A worker could not be started (no memory, no pids, no descriptors, or the binary is no program).
    SpawnFailed {
        /// The life that the worker would have had.
        life: Life,
        /// The system's words.
        reason: String,
    },
    /// The worker said something on its notify socket.
    Notified {
        /// The life of the worker.
        life: Life,
        /// What the worker said.
        notification: Notification,
    },
    /// The shell looked at a worker's scoreboard, as it does for every live worker each time `next_deadline`
    /// is reached.
    Observed {
        /// The life of the worker.
        life: Life,
        /// What the scoreboard said.
        sample: Sample,
    },
    /// The evidence asked for by [`crate::pool::Effect::Examine`].
    Examined {
        /// The life of the worker.
        life: Life,
        /// What the worker was doing.
        activity: Activity,
    },
    /// A worker's pidfd became readable, and the worker was reaped.
    Died {
        /// The life of the worker.
        life: Life,
        /// How its process ended.
        exit: ProcessExit,
        /// Whether the kernel killed it for want of memory (the shell reads the counter of its cgroup before
        /// and after).
        oom: bool,
    },
    /// A worker's readiness, asked for by [`crate::pool::Effect::Probe`].
    Probed {
        /// The life of the worker.
        life: Life,
        /// Whether the worker is ready, or why not in its own words.
        verdict: Result<(), String>,
    },
    /// A worker could not be told of orphaned work, as [`crate::pool::Effect::TakeOver`] told.
    NotTakenOver {
        /// The worker that could not be told.
        by: Life,
        /// The work that was to be taken over.
        work: OrphanedWork,
    },
    /// A worker could not be handed another slot's queue, as [`crate::pool::Effect::Adopt`] told, or has no
    /// room for it.
    NotAdopted {
        /// The worker that could not be handed the queue.
        by: Life,
        /// The slot whose queue it is.
        slot: Slot,
    },
    /// A worker of an earlier incarnation, which had outlived its master, is gone. It may have begun work
    /// after its work was taken over with that of the others.
    OrphanEnded {
        /// The life of the worker.
        life: Life,
    },
    /// A worker has taken over everything that the dead left behind.
    TakenOver {
        /// The worker that took over.
        by: Life,
        /// The work that was taken over.
        work: OrphanedWork,
    },
    /// A person wants something: by a signal, or as a client of the control socket.
    Asked {
        /// The request of the client that waits for the verdict.
        ticket: Ticket,
        /// What the person wants.
        request: Request,
    },
    /// The configuration was read and the binary opened, as [`crate::pool::Effect::Load`] told: the new
    /// generation's policy, or why there is none.
    Loaded(Result<Box<Policy>, NotLoaded>),
    /// The stub ended unasked, or could not be started, as [`crate::pool::Effect::StartStub`] told.
    StubEnded {
        /// How it ended, or why it could not be started.
        reason: String,
    },
    /// The binary on disk was asked whether it could go on from here as the master, as
    /// [`crate::pool::Effect::Rehearse`] told: it could, or why not.
    Rehearsed(Result<(), String>),
    /// The new binary has taken over (said first of all by the new master, of this version), or could not be
    /// executed after all (said by the old one). See [`crate::pool::Effect::HandOver`].
    Upgraded(Result<String, String>),
}

/// What one look at a worker's scoreboard says. No number can be trusted: counters may fall, beats may stand
/// still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The oldest of its beats (each thread that vouches for work stamps its own); the shell has already
    /// clamped what lies in the future to the instant it looked.
    pub beat: Monotonic,
    /// Since when the worker has held a store lock, if it holds one.
    pub lock_held_since: Option<Monotonic>,
    /// The number of open connections.
    pub connections: u32,
    /// The number of requests that are being answered.
    pub in_flight: u32,
    /// The number of connections accepted in its life.
    pub accepted: u64,
    /// The number of requests answered in its life.
    pub requests: u64,
    /// The number of those requests that were answered with 5xx.
    pub server_errors: u64,
    /// The number of connections told 503 in its life because the worker had no room for them; none of these
    /// is among the requests.
    pub refused: u64,
    /// How late its event loop ran its last beat.
    pub loop_lag: Duration,
    /// Its resident bytes; `None` when the shell did not read them this time.
    pub rss: Option<u64>,
}

/// Names one request of a client that waits for its verdict. 0 stands for a signal, for which no client
/// waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

impl Ticket {
    /// No client waits: the request came by a signal.
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
    /// This number of slots.
    ScaleTo(u16),
    /// So many more slots, or fewer if the number is negative (SIGTTIN: +1, SIGTTOU: -1).
    ScaleBy(i32),
    /// A new worker for a slot, before the old one goes.
    Restart(Slot),
    /// A slot's worker goes, and the slot stays empty until it is restarted.
    Drain(Slot),
    /// The end of the cluster (SIGTERM, SIGINT, SIGQUIT).
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
    /// The worker is ready (`READY=1`).
    Ready,
    /// The worker has begun to drain (`STOPPING=1`).
    Stopping,
    /// What the worker says of itself, bounded and printable (`STATUS=…`).
    Status(String),
    /// Why the worker does not do its work, bounded and printable; `None`: it does again
    /// (`X_CLUSTER_TROUBLE=…`).
    Trouble(Option<String>),
}

/// How fast the cluster stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopMode {
    /// Workers drain first (SIGTERM, SIGINT); a second stop turns it into `AtOnce`.
    Graceful,
    /// Workers are killed (SIGQUIT).
    AtOnce,
}
