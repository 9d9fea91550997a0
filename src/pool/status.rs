//! What a pool shows of itself: to people, and to the shell. Reading it changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::deploy::operation::Operation;
use super::lifecycle::Mode;
use super::pool::Pool;
use super::protocol::certificate::{CauseKind, Certificate, Purpose};
use super::protocol::facts::{Exit, OrphanedWork};
use super::protocol::verdict::Share;
use super::slot::history::SlotHistory;
use super::slot::slot_state::{Occupancy, SlotState};
use super::worker::pool_worker::{PoolWorker, WorkerPhase};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;

/// What a worker does, or why a slot has none; `as_str` is what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Nobody is in the slot, and somebody will be in a moment or the cluster stops.
    Vacant,
    /// Forked, not ready.
    Starting,
    /// Ready and beating.
    Serving,
    /// Its beat is late: no new connections.
    Quarantined,
    /// It finishes what it has.
    Draining,
    /// SIGKILL is on its way.
    Killed,
    /// Empty until the backoff is over.
    BackingOff,
    /// Empty until the next of the slow tries.
    Degraded,
    /// Empty until it is restarted, on request.
    Drained,
}

impl WorkerState {
    /// Every one.
    pub const ALL: [WorkerState; 9] = [
        WorkerState::Vacant,
        WorkerState::Starting,
        WorkerState::Serving,
        WorkerState::Quarantined,
        WorkerState::Draining,
        WorkerState::Killed,
        WorkerState::BackingOff,
        WorkerState::Degraded,
        WorkerState::Drained,
    ];

    /// As printed, in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerState::Vacant => "vacant",
            WorkerState::Starting => "starting",
            WorkerState::Serving => "serving",
            WorkerState::Quarantined => "quarantined",
            WorkerState::Draining => "draining",
            WorkerState::Killed => "killed",
            WorkerState::BackingOff => "backing-off",
            WorkerState::Degraded => "degraded",
            WorkerState::Drained => "drained",
        }
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerStatus<'a> {
    /// Who.
    pub life: Life,
    /// Of what.
    pub generation: Generation,
    /// For people; `None` until the shell said it.
    pub pid: Option<i32>,
    /// What it does.
    pub state: WorkerState,
    /// When it was forked.
    pub started: Monotonic,
    /// When it said READY, if it did.
    pub ready_since: Option<Monotonic>,
    /// Since when it does that.
    pub since: Monotonic,
    /// The age of its last beat, less what is nobody's fault, at the pool's last event; `None` before it was
    /// ready.
    pub beat_age: Option<Duration>,
    /// Open connections when last looked at.
    pub connections: u32,
    /// Requests in flight when last looked at.
    pub in_flight: u32,
    /// Connections it accepted, never falling.
    pub accepted: u64,
    /// What it answered, never falling.
    pub answered: Share,
    /// How late its loop runs, smoothed.
    pub loop_lag: Duration,
    /// Resident bytes when last read.
    pub rss: Option<u64>,
    /// What it was asked to go for, if it was.
    pub purpose: Option<Purpose>,
    /// Its own words (`STATUS=`).
    pub status: Option<&'a str>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotStatus<'a> {
    /// Which.
    pub slot: Slot,
    /// What its worker does, or why it has none.
    pub state: WorkerState,
    /// What it is filled with next.
    pub generation: Generation,
    /// Who is in it.
    pub worker: Option<WorkerStatus<'a>>,
    /// Lives that ended unasked since the master started.
    pub restarts: u32,
    /// Early deaths in a row.
    pub failures: u32,
    /// Whether only slow tries are made.
    pub breaker_open: bool,
    /// How the last unasked death looked, where it is known.
    pub last_exit: Option<Exit>,
    /// When an empty slot is filled again.
    pub filled_at: Option<Monotonic>,
    /// Since when this worker is in it, or nobody.
    pub since: Monotonic,
    /// Its share of new connections, [`super::FULL_SHARE`] being an equal one; `None` when it is unrouted.
    pub weight: Option<u16>,
    /// Who accepts what waits in its queue while it has no ready worker of its own.
    pub adopted_by: Option<Life>,
    /// How its lives ended, by cause, since the master started.
    pub endings: &'a BTreeMap<CauseKind, u64>,
    /// The last end of all.
    pub last_certificate: Option<&'a Certificate>,
}

impl Pool {
    /// Every slot, in order.
    pub fn slots(&self) -> impl Iterator<Item = SlotStatus<'_>> {
        let slots = self.fleet().slots().iter();
        slots.map(|state| self.slot_status(state))
    }

    /// The worker that is to take over a slot, while the slot's own worker is replaced.
    #[must_use]
    pub fn replacement(&self) -> Option<WorkerStatus<'_>> {
        let replacement = self.operation().replacement();
        replacement.map(|worker| self.worker_status(worker))
    }

    /// The workers that are in no slot any more and not dead yet, the oldest first.
    pub fn leaving(&self) -> impl Iterator<Item = WorkerStatus<'_>> {
        let leaving = self.fleet().leaving().iter();
        leaving.map(|worker| self.worker_status(worker))
    }

    /// Every worker there is: those the shell has to look at.
    pub fn lives(&self) -> impl Iterator<Item = Life> {
        self.all_workers().iter().map(|worker| worker.life)
    }

    /// The generation the cluster is committed to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generations().current()
    }

    /// Every generation that is loaded.
    pub fn loaded_generations(&self) -> impl Iterator<Item = Generation> {
        self.generations().loaded()
    }

    /// How many slots there are.
    #[must_use]
    pub fn workers(&self) -> u16 {
        self.size()
    }

    /// How many slots there were at most; each of them still has its listener.
    #[must_use]
    pub fn slots_ever(&self) -> u16 {
        self.fleet().slots().ever()
    }

    /// Whether a rollout is under way.
    #[must_use]
    pub fn is_reloading(&self) -> bool {
        matches!(self.operation(), Operation::Rollout(_))
    }

    /// Whether an upgrade of the master is under way.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        matches!(self.operation(), Operation::Upgrade(_))
    }

    /// Whether no worker is started any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.mode() != Mode::Running
    }

    /// Whether the effect `Exit` was given.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.mode() == Mode::Over
    }

    /// The work that the dead left behind and no worker has taken over yet, with the worker that was asked.
    #[must_use]
    pub fn takeovers(&self) -> &[(OrphanedWork, Option<Life>)] {
        self.routing().takeovers().pending()
    }

    /// The last certificates of a slot (also of one that was removed), the oldest first.
    pub fn certificates(&self, slot: Slot) -> impl Iterator<Item = &Certificate> {
        let history = self.fleet().slots().history(slot);
        history.into_iter().flat_map(SlotHistory::certificates)
    }

    /// How lives ended, by slot (also of slots that were removed) and cause.
    pub fn endings(&self) -> impl Iterator<Item = (Slot, &BTreeMap<CauseKind, u64>)> {
        let slots = self.fleet().slots();
        (0..self.slots_ever())
            .map(Slot)
            .filter_map(|slot| Some((slot, slots.history(slot)?.endings())))
    }

    /// Every slot whose queue another slot's worker serves, and that worker.
    pub fn adoptions(&self) -> impl Iterator<Item = (Slot, Life)> {
        (0..self.slots_ever())
            .map(Slot)
            .filter_map(|slot| Some((slot, self.routing().adoptions().adopter(slot)?)))
    }

    /// The generation a rollback would return to.
    #[must_use]
    pub fn previous(&self) -> Option<Generation> {
        self.generations().previous()
    }

    fn slot_status<'a>(&'a self, state: &'a SlotState) -> SlotStatus<'a> {
        let slot = state.slot;
        let history = self.fleet().slots().history(slot);
        let history = history.expect("every slot has a history");
        SlotStatus {
            slot,
            state: state_of_slot(state),
            generation: state.generation,
            worker: state.worker().map(|worker| self.worker_status(worker)),
            restarts: state.restart.restarts,
            failures: state.restart.failures,
            breaker_open: state.restart.breaker_open,
            last_exit: state.restart.last_exit,
            filled_at: state.filled_at(),
            since: state.since,
            weight: self.routing().weight(slot),
            adopted_by: self.routing().adoptions().adopter(slot),
            endings: history.endings(),
            last_certificate: history.certificates().back(),
        }
    }

    fn worker_status<'a>(&self, worker: &'a PoolWorker) -> WorkerStatus<'a> {
        WorkerStatus {
            life: worker.life,
            generation: worker.generation,
            pid: worker.pid,
            state: state_of_worker(worker),
            started: worker.started,
            ready_since: worker.ready_at,
            since: worker.since,
            beat_age: worker.beat_age(self.now()),
            connections: worker.load.connections,
            in_flight: worker.load.in_flight,
            accepted: worker.load.accepted,
            answered: worker.load.answered,
            loop_lag: worker.load.loop_lag,
            rss: worker.load.rss,
            purpose: worker.purpose,
            status: worker.status.as_deref(),
        }
    }
}

fn state_of_worker(worker: &PoolWorker) -> WorkerState {
    match worker.phase {
        WorkerPhase::Starting { .. } => WorkerState::Starting,
        WorkerPhase::Serving { .. } => WorkerState::Serving,
        WorkerPhase::Late { .. } => WorkerState::Quarantined,
        WorkerPhase::Draining { .. } => WorkerState::Draining,
        WorkerPhase::Killed { .. } => WorkerState::Killed,
    }
}

fn state_of_slot(state: &SlotState) -> WorkerState {
    match state.occupancy() {
        Occupancy::Vacant => WorkerState::Vacant,
        Occupancy::Filled(worker) => state_of_worker(worker),
        Occupancy::BackingOff { .. } => WorkerState::BackingOff,
        Occupancy::Degraded { .. } => WorkerState::Degraded,
        Occupancy::Drained => WorkerState::Drained,
    }
}
