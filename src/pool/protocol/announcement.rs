//! What a pool reports to people: facts, each with its message. The master adds the level and the fields of
//! the log line.

use std::time::Duration;

use super::certificate::Purpose;
use super::event::Request;
use super::facts::{KillReason, ProcessExit};
use super::verdict::Failure;
use super::wording::{every_worker, exit_text, kill_text, next_start, purpose_text, request_text};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::{Monotonic, span};

/// What people care about; each becomes one line of the log. The derive gives the message, and nothing here
/// is an error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Announcement {
    /// A worker is being started.
    #[error("worker starting")]
    Starting {
        /// The life of the worker.
        life: Life,
        /// The worker's generation.
        generation: Generation,
        /// The process id, for people.
        pid: i32,
    },
    /// A worker is ready and gets connections.
    #[error("worker ready after {}", span(*.after))]
    Ready {
        /// The life of the worker.
        life: Life,
        /// The time since its fork.
        after: Duration,
    },
    /// Every slot has a ready worker for the first time.
    #[error("serving: every worker is ready")]
    Serving {
        /// The number of slots.
        workers: u16,
    },
    /// A worker died that was not asked to go.
    #[error("worker crashed ({}); {}", exit_text(*.exit), next_start(*.restart_in))]
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
    #[error("failed to start a worker: {reason}; {}", next_start(*.restart_in))]
    SpawnFailed {
        /// The life that the worker would have had.
        life: Life,
        /// The system's words.
        reason: String,
        /// How long the slot stays empty until the next try.
        restart_in: Duration,
    },
    /// Too many workers of a slot died: from now on the slot is filled slowly.
    #[error(
        "the workers of this slot keep dying; the slot is filled slowly from now on, the other slots serve"
    )]
    BreakerOpened {
        /// The number of the slot.
        slot: Slot,
        /// The number of deaths within `restart_window`.
        deaths: u32,
    },
    /// A worker of a slot with an open breaker held out: the slot is filled as usual again.
    #[error("the worker of this slot has held out; the slot is filled at once again")]
    BreakerClosed {
        /// The number of the slot.
        slot: Slot,
    },
    /// The breaker of every slot is open and no worker serves: a stub answers in their place.
    #[error(
        "no worker can serve, because the workers of every slot keep dying; a stub answers 503 to whoever \
         connects, until a worker is ready"
    )]
    NoWorkerServes,
    /// The stub ended unasked, or could not be started.
    #[error(
        "the stub that answers 503 in the workers' place {reason}; another one is started in {}",
        span(*.again_in)
    )]
    StubEnded {
        /// How it ended, or why it could not be started.
        reason: String,
        /// The time until the next one is started.
        again_in: Duration,
    },
    /// A worker is ready again, or the cluster stops: the stub goes.
    #[error("the stub that answered 503 in the workers' place goes")]
    StubStopped,
    /// A worker's beat is late: it gets no new connections until it beats again.
    #[error("worker late: no beat for {}; new connections go elsewhere until it beats", span(*.late))]
    Quarantined {
        /// The life of the worker.
        life: Life,
        /// The age of its beat.
        late: Duration,
    },
    /// A worker that was late beats again.
    #[error("worker beats again after {}; it gets connections again", span(*.after))]
    Returned {
        /// The life of the worker.
        life: Life,
        /// How long it got no new connections.
        after: Duration,
    },
    /// A worker is being killed.
    #[error("killing worker: {}", kill_text(*.reason, *.beat_age, .trouble.as_deref()))]
    Killed {
        /// The life of the worker.
        life: Life,
        /// Why it is killed.
        reason: KillReason,
        /// The age of its last beat.
        beat_age: Duration,
        /// Why it does not do its work, in its own words.
        trouble: Option<String>,
    },
    /// A worker has begun to drain.
    #[error("worker draining")]
    Draining {
        /// The life of the worker.
        life: Life,
    },
    /// A worker that drained is gone.
    #[error("worker gone after {} ({})", span(*.after), exit_text(*.exit))]
    Drained {
        /// The life of the worker.
        life: Life,
        /// How long it drained.
        after: Duration,
        /// How its process ended.
        exit: ProcessExit,
    },
    /// The rollout of a new generation began.
    #[error("reload: rolling out a new generation")]
    ReloadStarted {
        /// The new generation.
        generation: Generation,
    },
    /// The first worker of a new generation is ready and serves beside the old ones; it is watched for the
    /// bake time.
    #[error(
        "{}: the first worker of the new generation is watched for {}",
        request_text(*.request),
        span(*.bake_time)
    )]
    Baking {
        /// The reload or rollback.
        request: Request,
        /// The life of the worker.
        life: Life,
        /// The new generation.
        generation: Generation,
        /// How long the worker has to hold out.
        bake_time: Duration,
    },
    /// A rollout failed after the first slots had been replaced: they go back to the old generation.
    #[error("{}: giving the slots back to the old generation: {reason}", request_text(*.request))]
    BackingOut {
        /// The reload or rollback.
        request: Request,
        /// The generation that is given up.
        generation: Generation,
        /// Why the rollout failed.
        reason: Failure,
    },
    /// The binary on disk is asked whether it could go on from here as the master.
    #[error("upgrade: asking the binary on disk whether it can take over")]
    UpgradeStarted,
    /// The new binary could go on from here, and takes over.
    #[error("upgrade: the new binary can take over, it said so after {}; executing it", span(*.after))]
    HandingOver {
        /// The time since the upgrade began.
        after: Duration,
    },
    /// The new binary is the master; the workers are the same as before.
    #[error("upgrade done after {}: this master goes on with the same workers", span(*.after))]
    Upgraded {
        /// The version that the new master says of itself.
        version: String,
        /// The time since the upgrade began.
        after: Duration,
    },
    /// The system refused to execute the new binary: the old master goes on.
    #[error("upgrade backed out, this master goes on: the new binary could not be executed: {reason}")]
    NotUpgraded {
        /// The system's words.
        reason: String,
    },
    /// A request waits for the end of something that it must not be mixed with. The same request is done
    /// once, however often it is asked for meanwhile.
    #[error("{}: another operation is under way; this one follows", request_text(*.request))]
    Queued {
        /// The request that waits.
        request: Request,
    },
    /// Every slot runs the new generation.
    #[error("{} done after {}: {}", request_text(*.request), span(*.after), every_worker(*.request))]
    Reloaded {
        /// The reload or rollback.
        request: Request,
        /// The new generation.
        generation: Generation,
        /// The time since the rollout began.
        after: Duration,
    },
    /// A rollout was given up; the old generation serves on.
    #[error("{} backed out, the old generation serves on: {reason}", request_text(*.request))]
    BackedOut {
        /// The reload or rollback.
        request: Request,
        /// The generation that was given up.
        generation: Generation,
        /// Why the rollout was given up.
        reason: Failure,
    },
    /// The previous generation is being rolled out again.
    #[error("rollback: rolling out the previous generation")]
    RollbackStarted {
        /// The previous generation.
        generation: Generation,
    },
    /// A slot's worker is being replaced by another of its generation.
    #[error("replacing this slot's worker ({})", purpose_text(*.purpose))]
    Replacing {
        /// The number of the slot.
        slot: Slot,
        /// Why the worker is replaced.
        purpose: Purpose,
    },
    /// The replacement of a worker failed: the slot keeps its worker.
    #[error("this slot's worker was not replaced and serves on: {reason}")]
    NotReplaced {
        /// The number of the slot.
        slot: Slot,
        /// Why the replacement failed.
        reason: Failure,
    },
    /// A request is refused.
    #[error("{} refused: {reason}", request_text(*.request))]
    Refused {
        /// What was asked for.
        request: Request,
        /// Why the request is refused.
        reason: String,
    },
    /// The number of slots changed.
    #[error("scaled")]
    Scaled {
        /// The number of slots before.
        from: u16,
        /// The number of slots from now on.
        to: u16,
    },
    /// Slots that were added do not serve: their number is given up.
    #[error("scaling from {from} to {to} workers given up: {reason}")]
    ScaleFailed {
        /// The number of slots before.
        from: u16,
        /// The number of slots that was wanted.
        to: u16,
        /// Why they do not serve.
        reason: Failure,
    },
    /// The cluster was asked to stop, and serves on for a while.
    #[error(
        "stopping in {} (stop_delay): readiness says no from now on, requests are still served; a second \
         stop begins the drain now",
        span(*.by)
    )]
    StopDelayed {
        /// The time until the drain begins.
        by: Duration,
    },
    /// The cluster begins to stop.
    #[error("stopping: workers finish what they accepted")]
    Stopping {
        /// The number of workers that are asked to go.
        workers: u16,
    },
    /// The master did not run for a while: it got no CPU, or the machine slept. That time is held against no
    /// worker.
    #[error("the master was not scheduled for {}: late beats of that time count against no worker", span(*.by))]
    Stalled {
        /// How late the master looked at the workers.
        by: Duration,
        /// When the master looked again.
        at: Monotonic,
    },
}
