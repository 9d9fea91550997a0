//! What a pool says to people: facts, which the shell turns into lines.

use std::time::Duration;

use super::certificate::Purpose;
use super::event::Request;
use super::facts::{KillReason, ProcessExit};
use super::verdict::Failure;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;

/// What people care about; the shell turns each into one line of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// A worker is being started.
    Starting {
        /// The life of the worker.
        life: Life,
        /// The worker's generation.
        generation: Generation,
        /// The process id, for people.
        pid: i32,
    },
    /// A worker is ready and gets connections.
    Ready {
        /// The life of the worker.
        life: Life,
        /// The time since its fork.
        after: Duration,
    },
    /// Every slot has a ready worker for the first time.
    Serving {
        /// The number of slots.
        workers: u16,
    },
    /// A worker died that was not asked to go.
    Crashed {
        /// The life of the worker.
        life: Life,
        /// How its process ended.
        exit: ProcessExit,
        /// How long its slot stays empty.
        restart_in: Duration,
        /// The number of early deaths of the slot's workers in a row.
        failures: u32,
    },
    /// The system refused to start a worker.
    SpawnFailed {
        /// The life that the worker would have had.
        life: Life,
        /// The system's words.
        reason: String,
        /// How long the slot stays empty until the next try.
        restart_in: Duration,
    },
    /// Too many workers of a slot died: from now on the slot is filled slowly.
    BreakerOpened {
        /// The number of the slot.
        slot: Slot,
        /// The number of deaths within `restart_window`.
        deaths: u32,
    },
    /// A worker of a slot with an open breaker held out: the slot is filled as usual again.
    BreakerClosed {
        /// The number of the slot.
        slot: Slot,
    },
    /// A worker's beat is late: it gets no new connections until it beats again.
    Quarantined {
        /// The life of the worker.
        life: Life,
        /// The age of its beat.
        late: Duration,
    },
    /// A worker that was late beats again.
    Returned {
        /// The life of the worker.
        life: Life,
        /// How long it got no new connections.
        after: Duration,
    },
    /// A worker is being killed.
    Killed {
        /// The life of the worker.
        life: Life,
        /// Why it is killed.
        reason: KillReason,
        /// The age of its last beat.
        beat_age: Duration,
    },
    /// A worker has begun to drain.
    Draining {
        /// The life of the worker.
        life: Life,
    },
    /// A worker that drained is gone.
    Drained {
        /// The life of the worker.
        life: Life,
        /// How long it drained.
        after: Duration,
        /// How its process ended.
        exit: ProcessExit,
    },
    /// The rollout of a new generation began.
    ReloadStarted {
        /// The new generation.
        generation: Generation,
    },
    /// The first worker of a new generation is ready and serves beside the old ones; it is watched for the
    /// bake time.
    Baking {
        /// The life of the worker.
        life: Life,
        /// The new generation.
        generation: Generation,
        /// How long the worker has to hold out.
        bake_time: Duration,
    },
    /// A rollout failed after the first slots had been replaced: they go back to the old generation.
    BackingOut {
        /// The generation that is given up.
        generation: Generation,
        /// Why the rollout failed.
        reason: Failure,
    },
    /// The binary on disk is asked whether it could go on from here as the master.
    UpgradeStarted,
    /// The new binary could go on from here, and takes over.
    HandingOver {
        /// The time since the upgrade began.
        after: Duration,
    },
    /// The new binary is the master; the workers are the same as before.
    Upgraded {
        /// The version that the new master says of itself.
        version: String,
        /// The time since the upgrade began.
        after: Duration,
    },
    /// The system refused to execute the new binary: the old master goes on.
    NotUpgraded {
        /// The system's words.
        reason: String,
    },
    /// A request waits for the end of something that it must not be mixed with. The same request is done
    /// once, however often it is asked for meanwhile.
    Queued {
        /// The request that waits.
        request: Request,
    },
    /// Every slot runs the new generation.
    Reloaded {
        /// The new generation.
        generation: Generation,
        /// The time since the rollout began.
        after: Duration,
    },
    /// A rollout was given up; the old generation serves on.
    BackedOut {
        /// The generation that was given up.
        generation: Generation,
        /// Why the rollout was given up.
        reason: Failure,
    },
    /// The previous generation is being rolled out again.
    RollbackStarted {
        /// The previous generation.
        generation: Generation,
    },
    /// A slot's worker is being replaced by another of its generation.
    Replacing {
        /// The number of the slot.
        slot: Slot,
        /// Why the worker is replaced.
        purpose: Purpose,
    },
    /// The replacement of a worker failed: the slot keeps its worker.
    NotReplaced {
        /// The number of the slot.
        slot: Slot,
        /// Why the replacement failed.
        reason: Failure,
    },
    /// A request is refused.
    Refused {
        /// What was asked for.
        request: Request,
        /// Why the request is refused.
        reason: String,
    },
    /// The number of slots changed.
    Scaled {
        /// The number of slots before.
        from: u16,
        /// The number of slots from now on.
        to: u16,
    },
    /// The cluster begins to stop.
    Stopping {
        /// The number of workers that are asked to go.
        workers: u16,
    },
    /// The master did not run for a while: it got no CPU, or the machine slept. That time is held against no
    /// worker.
    Stalled {
        /// How late the master looked at the workers.
        by: Duration,
        /// When the master looked again.
        at: Monotonic,
    },
}
