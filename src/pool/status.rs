//! What a pool shows of itself: to people, and to the shell. Reading it changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::deploy::operation::Operation;
use super::lifecycle::Mode;
use super::pool::Pool;
use super::protocol::certificate::{CauseKind, Certificate, Purpose};
use super::protocol::facts::{OrphanedWork, ProcessExit};
use super::protocol::verdict::Share;
use super::routing::stub::StubState;
use super::slot::history::SlotHistory;
use super::slot::slot_state::{Occupancy, SlotState};
use super::worker::pool_worker::{PoolWorker, WorkerPhase};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;

/// What a worker does, or why a slot has none; `as_str` is what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// The slot is empty, and is filled at once unless the cluster stops.
    Vacant,
    /// The worker is forked and not ready yet.
    Starting,
    /// The worker is ready and beats.
    Serving,
    /// The worker's beat is late: it gets no new connections.
    Quarantined,
    /// The worker finishes what it has.
    Draining,
    /// The worker was sent SIGKILL.
    Killed,
    /// The slot is empty until the backoff is over.
    BackingOff,
    /// The slot's breaker is open: it is empty until the next of the slow tries.
    Degraded,
    /// The slot is empty until a person asks for its restart.
    Drained,
}

impl WorkerState {
    /// Every state.
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

/// What one worker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerStatus<'a> {
    /// The life of the worker.
    pub life: Life,
    /// The worker's generation.
    pub generation: Generation,
    /// The process id, for people; `None` until the shell has said it.
    pub pid: Option<i32>,
    /// What the worker does.
    pub state: WorkerState,
    /// When the worker was forked.
    pub started: Monotonic,
    /// When the worker said READY, if it did.
    pub ready_since: Option<Monotonic>,
    /// Since when the worker has been in that state.
    pub since: Monotonic,
    /// The age of its last beat at the pool's last event, less what is not held against the worker; `None`
    /// before it was ready.
    pub beat_age: Option<Duration>,
    /// The number of open connections at the last look.
    pub connections: u32,
    /// The number of requests in flight at the last look.
    pub in_flight: u32,
    /// The number of connections it accepted; never falls.
    pub accepted: u64,
    /// What it answered; never falls.
    pub answered: Share,
    /// How late its event loop runs, smoothed.
    pub loop_lag: Duration,
    /// Resident bytes when last read.
    pub rss: Option<u64>,
    /// Why the worker was asked to go, if it was.
    pub purpose: Option<Purpose>,
    /// Its own words (`STATUS=`).
    pub status: Option<&'a str>,
}

/// What one slot does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotStatus<'a> {
    /// The number of the slot.
    pub slot: Slot,
    /// What the slot's worker does, or why the slot is empty.
    pub state: WorkerState,
    /// The generation the slot is filled with next.
    pub generation: Generation,
    /// The worker in the slot, if there is one.
    pub worker: Option<WorkerStatus<'a>>,
    /// How many lives ended unasked since the master started.
    pub restarts: u32,
    /// How many lives in a row ended early.
    pub failures: u32,
    /// Whether the breaker is open, so that the slot is filled slowly.
    pub breaker_open: bool,
    /// How the last life that ended unasked ended, where it is known.
    pub last_exit: Option<ProcessExit>,
    /// When an empty slot that waits is filled again.
    pub filled_at: Option<Monotonic>,
    /// Since when this worker has been in the slot, or the slot has been empty.
    pub since: Monotonic,
    /// Its share of new connections, [`super::FULL_SHARE`] being an equal one; `None` when it is unrouted.
    pub weight: Option<u16>,
    /// The worker that accepts from the slot's queue while the slot has no ready worker of its own.
    pub adopted_by: Option<Life>,
    /// How the slot's lives ended, by cause, since the master started.
    pub endings: &'a BTreeMap<CauseKind, u64>,
    /// The certificate of the slot's last life that ended.
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
        !self.mode().serves()
    }

    /// When the drain begins, if the cluster was asked to stop and serves on until then.
    #[must_use]
    pub fn stops_at(&self) -> Option<Monotonic> {
        self.mode().stops_at()
    }

    /// Whether no worker can serve, and a stub answers in their place.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.routing().stub() != StubState::None
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
