//! While no worker can serve because the workers of every slot keep dying, a stub answers in their place: who
//! connects is refused at once and does not wait in a queue that nobody will read. Never during a boot, a
//! backoff or a single restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::pool::fleet::AllWorkers;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, announce};
use crate::pool::slot::slot_state::SlotState;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerPhase};

/// The wait before a stub that ended is followed by another.
const STUB_RESTART: Duration = Duration::from_secs(1);

/// Whether a stub answers in the workers' place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum StubState {
    /// None is needed.
    #[default]
    None,
    /// One was started.
    Started,
    /// One ended unasked; another one is started at that instant.
    Ended { again_at: Monotonic },
}

impl StubState {
    /// When another stub is due.
    pub(in crate::pool) fn deadline(self) -> Option<Monotonic> {
        match self {
            StubState::Ended { again_at } => Some(again_at),
            StubState::None | StubState::Started => None,
        }
    }

    /// Starts the stub when it is needed, and stops it when it is not needed any more.
    #[must_use]
    pub(in crate::pool) fn kept(
        self,
        is_needed: bool,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) -> StubState {
        match (self, is_needed) {
            (StubState::None, true) => {
                announce(Announcement::NoWorkerServes, effects);
                effects.push(Effect::StartStub);
                StubState::Started
            }
            (StubState::Ended { again_at }, true) if again_at <= now => {
                effects.push(Effect::StartStub);
                StubState::Started
            }
            (StubState::Started | StubState::Ended { .. }, false) => {
                announce(Announcement::StubStopped, effects);
                effects.push(Effect::StopStub);
                StubState::None
            }
            (StubState::None, false) => StubState::None,
            (state @ (StubState::Started | StubState::Ended { .. }), true) => state,
        }
    }

    /// The stub ended unasked, or could not be started.
    #[must_use]
    pub(in crate::pool) fn ended(
        self,
        reason: String,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) -> StubState {
        match self {
            StubState::Started => {
                let again_in = STUB_RESTART;
                announce(Announcement::StubEnded { reason, again_in }, effects);
                let again_at = now + again_in;
                StubState::Ended { again_at }
            }
            StubState::None | StubState::Ended { .. } => self,
        }
    }

    /// Another binary is the master: the stub of the one before it ends with it.
    pub(in crate::pool) fn restart(self, effects: &mut Vec<Effect>) {
        match self {
            StubState::Started => effects.push(Effect::StartStub),
            StubState::None | StubState::Ended { .. } => {}
        }
    }
}

/// Whether every slot that is to be filled has an open breaker and no worker that accepts.
pub(in crate::pool) fn is_stub_needed(workers: AllWorkers<'_>) -> bool {
    let slots = || workers.fleet.slots().iter().filter(|state| !state.is_drained());
    slots().next().is_some() && slots().all(keeps_dying) && !workers.replacement.is_some_and(may_accept)
}

fn keeps_dying(state: &SlotState) -> bool {
    state.restart.breaker_open && !state.worker().is_some_and(may_accept)
}

/// Whether the worker reads its queue, or may do so again: one that is late is killed or comes back soon.
fn may_accept(worker: &PoolWorker) -> bool {
    match worker.phase {
        WorkerPhase::Serving { .. } | WorkerPhase::Late { .. } => true,
        WorkerPhase::Starting { .. } | WorkerPhase::Draining { .. } | WorkerPhase::Killed { .. } => false,
    }
}
