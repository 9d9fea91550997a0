//! What a pool wants done: imperative, performed by the shell in the order given.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announcement::Announcement;
use super::event::{Activity, Ticket};
use super::verdict::Verdict;
use crate::base::backoff::Backoff;
use crate::base::ids::{Generation, Incarnation, Life, Slot};

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
    /// While so many drain, nobody is replaced. Past this and the most slots there ever were, the longest drain is cut.
    pub max_draining: u16,
    /// A worker that has answered so many requests (less up to a tenth, by chance) is replaced.
    pub max_requests: Option<u64>,
    /// A worker that is larger than so many resident bytes is replaced.
    pub max_rss: Option<u64>,
    /// A worker that has served so long (less up to a tenth, by chance) is replaced.
    pub max_age: Option<Duration>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// fork + exec a worker of that generation, serving that life's slot. Answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// Who it will be.
        life: Life,
        /// Of what.
        generation: Generation,
    },
    /// Send a signal through the life's pidfd. Nothing to do when that life is gone or could not be spawned.
    Signal {
        /// To whom.
        life: Life,
        /// Which.
        signal: Signal,
    },
    /// Read `/proc` for a late worker. Answered by `Examined`.
    Examine {
        /// Whom.
        life: Life,
    },
    /// Ask a worker whether it is ready, as its own readiness has it, without waiting. Answered by `Probed`.
    Probe {
        /// Whom.
        life: Life,
    },
    /// Hand a slot's listeners to a worker of another slot, which accepts what waits there and whatever comes until `Disown`.
    /// Said again to another worker when the first one does not serve any more.
    Adopt {
        /// Who.
        by: Life,
        /// Whose queue.
        slot: Slot,
    },
    /// The slot has a worker of its own again, or another adopter: let go of its listeners. Nothing to do for one that is gone.
    Disown {
        /// Who.
        by: Life,
        /// Whose queue.
        slot: Slot,
    },
    /// Tell one who asked how it ended. Exactly once for each ticket but [`Ticket::NOBODY`].
    Answer {
        /// Whom.
        ticket: Ticket,
        /// What came of it.
        verdict: Verdict,
    },
    /// Route new connections to these slots alone, by these weights. Empty: nobody is routed (the kernel's hash decides).
    Steer(Vec<(Slot, u16)>),
    /// Make sure that each address's group has this many listeners (they are never closed while the group serves).
    Listen {
        /// How many slots have one.
        slots: u16,
    },
    /// Read the configuration and open the binary as this generation. Answered by `Loaded`.
    Load(Generation),
    /// Ask the binary on disk whether it could go on from here as the master, without waiting. Answered by `Rehearsed`.
    Rehearse,
    /// No life of that generation is left or will be: let go of its binary and configuration.
    Unload(Generation),
    /// The cluster is that generation from now on: addresses that it does not serve are let go of.
    Serve(Generation),
    /// Tell a ready worker to finish what an work left behind. Answered, some time, by `TakenOver` (for a worker that has no
    /// lifeline, the shell answers at once). May be said again, to another by, before the first one answered.
    TakeOver {
        /// Who takes over.
        by: Life,
        /// What.
        work: OrphanedWork,
    },
    /// Nobody will be started any more: let go of every listener, so that new connections are refused as soon as the workers
    /// have emptied their queues, and nobody waits in vain.
    Close,
    /// Tell every worker, also those that drain already, that the whole cluster stops: nobody serves on, so silent connections
    /// need not be kept.
    Hasten,
    /// Say one thing a person cares about.
    Announce(Announcement),
    /// Tell systemd.
    Tell(SystemdState),
    /// Everything is over: leave the loop.
    Exit(Outcome),
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

/// The signals a pool sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: drain.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What systemd wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemdState {
    /// `READY=1`
    Ready,
    /// `RELOADING=1` with `MONOTONIC_USEC`
    Reloading,
    /// `STOPPING=1`
    Stopping,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As asked, and nothing was cut.
    Stopped,
    /// As asked, and some drains were cut.
    Cut,
    /// No worker was ever ready, and every slot's first three lives left by themselves with an exit code (or could not be
    /// spawned): the program does not start, and trying for ever would only hide it.
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
