//! What a pool wants done: imperative, performed by the shell in the order given.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::certificate::Purpose;
use super::event::{Activity, Exit, Request, Ticket};
use super::verdict::{Failure, Verdict};
use crate::base::backoff::Backoff;
use crate::base::ids::{Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;

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
    /// Past this the longest drain is cut.
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
    /// No life of that generation is left or will be: let go of its binary and configuration.
    Unload(Generation),
    /// Tell a ready worker to finish what an estate left behind. Answered, some time, by `Inherited` (for a worker that has no
    /// lifeline, the shell answers at once). May be said again, to another heir, before the first one answered.
    Bequeath {
        /// Who takes over.
        heir: Life,
        /// What.
        estate: Estate,
    },
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
pub enum Estate {
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
    DrainCrowd,
    /// The cluster stops at once.
    StopAtOnce,
    /// Its rollout was backed out before it was ready.
    BackedOut,
    /// It was to replace another one, which is not wanted any more.
    NotNeeded,
}

/// What a person cares about; the shell turns each into one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// A worker is being started.
    Starting {
        /// Who.
        life: Life,
        /// Of what.
        generation: Generation,
        /// For people.
        pid: i32,
    },
    /// A worker is ready and gets connections.
    Ready {
        /// Who.
        life: Life,
        /// Since its fork.
        after: Duration,
    },
    /// Every slot has a ready worker for the first time.
    Serving {
        /// How many.
        workers: u16,
    },
    /// A worker died that was not asked to.
    Crashed {
        /// Who.
        life: Life,
        /// How.
        exit: Exit,
        /// Its slot is filled again after this.
        restart_in: Duration,
        /// How many early deaths in a row.
        failures: u32,
    },
    /// The system refused to start one.
    SpawnFailed {
        /// Who.
        life: Life,
        /// The system's words.
        reason: String,
        /// Tried again after this.
        restart_in: Duration,
    },
    /// Too many deaths: the slot retries slowly from now on.
    BreakerOpened {
        /// Which.
        slot: Slot,
        /// How many within the window.
        deaths: u32,
    },
    /// It held out again.
    BreakerClosed {
        /// Which.
        slot: Slot,
    },
    /// A late beat: no new connections until it beats again.
    Quarantined {
        /// Who.
        life: Life,
        /// How old its beat is.
        late: Duration,
    },
    /// It beats again.
    Returned {
        /// Who.
        life: Life,
        /// How long it was out.
        after: Duration,
    },
    /// A worker is being killed.
    Killed {
        /// Who.
        life: Life,
        /// Why.
        reason: KillReason,
        /// The age of its last beat.
        beat_age: Duration,
    },
    /// A worker that was asked to go has begun to drain.
    Draining {
        /// Who.
        life: Life,
    },
    /// And is gone.
    Drained {
        /// Who.
        life: Life,
        /// How long it took.
        after: Duration,
        /// How it ended.
        exit: Exit,
    },
    /// A rollout began.
    ReloadStarted {
        /// What is being rolled out.
        generation: Generation,
    },
    /// The first worker of the new generation is ready and serves beside the old ones; it is watched for the bake time.
    Baking {
        /// Who.
        life: Life,
        /// Of what.
        generation: Generation,
        /// How long it has to hold out.
        bake_time: Duration,
    },
    /// The rollout failed after the first slots had been replaced: they are being given back to the old generation.
    BackingOut {
        /// What is being given up.
        generation: Generation,
        /// Why.
        reason: Failure,
    },
    /// It was asked for while something else is under way that it must not be mixed with: it is done afterwards (a reload:
    /// once, however often it was asked for meanwhile).
    Queued {
        /// What.
        request: Request,
    },
    /// Every slot runs the new generation.
    Reloaded {
        /// Which.
        generation: Generation,
        /// How long it took.
        after: Duration,
    },
    /// The rollout was given up; the old generation serves on.
    BackedOut {
        /// What was given up.
        generation: Generation,
        /// Why.
        reason: Failure,
    },
    /// The previous generation is being rolled out again.
    RollbackStarted {
        /// Which.
        generation: Generation,
    },
    /// A slot's worker is being replaced by another of its generation.
    Replacing {
        /// Which slot.
        slot: Slot,
        /// What for.
        purpose: Purpose,
    },
    /// It was not: the slot keeps whom it has.
    NotReplaced {
        /// Which slot.
        slot: Slot,
        /// Why.
        reason: Failure,
    },
    /// Nothing is done about it.
    Refused {
        /// What was asked for.
        request: Request,
        /// Why.
        reason: String,
    },
    /// The number of slots changed.
    Scaled {
        /// From.
        from: u16,
        /// To.
        to: u16,
    },
    /// A stop began.
    Stopping {
        /// How many workers drain.
        workers: u16,
    },
    /// The master itself was not scheduled or the machine slept: lateness of this much is not held against anyone.
    Overslept {
        /// How late the master looked.
        by: Duration,
        /// When.
        at: Monotonic,
    },
}
