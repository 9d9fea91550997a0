//! What a pool says to people: facts, which the shell turns into lines.

use std::time::Duration;

use super::certificate::Purpose;
use super::event::Request;
use super::facts::{Exit, KillReason};
use super::verdict::Failure;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;

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
    /// The first worker of the new generation is ready and serves beside the old ones; it is watched for the
    /// bake time.
    Baking {
        /// Who.
        life: Life,
        /// Of what.
        generation: Generation,
        /// How long it has to hold out.
        bake_time: Duration,
    },
    /// The rollout failed after the first slots had been replaced: they are being given back to the old
    /// generation.
    BackingOut {
        /// What is being given up.
        generation: Generation,
        /// Why.
        reason: Failure,
    },
    /// The binary on disk is asked whether it could go on from here as the master.
    UpgradeStarted,
    /// It could, and does.
    HandingOver {
        /// How long the asking took.
        after: Duration,
    },
    /// Another binary is the master; the workers are who they were.
    Upgraded {
        /// What it calls itself.
        version: String,
        /// How long it took.
        after: Duration,
    },
    /// The system refused to execute it: the old master goes on.
    NotUpgraded {
        /// The system's words.
        reason: String,
    },
    /// It was asked for while something else is under way that it must not be mixed with: it is done
    /// afterwards (a reload: once, however often it was asked for meanwhile).
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
    /// The master itself was not scheduled or the machine slept: lateness of this much is not held against
    /// anyone.
    Stalled {
        /// How late the master looked.
        by: Duration,
        /// When.
        at: Monotonic,
    },
}
