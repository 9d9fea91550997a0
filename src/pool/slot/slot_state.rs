//! One slot: filled by one worker, or empty and waiting to be filled again. What ended the last life decides
//! for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::restart::{RestartDecision, RestartPolicy};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::facts::Policy;
use crate::pool::worker::context::WorkerContext;
use crate::pool::worker::end_of_life::EndOfLife;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerEvent};

/// Which worker fills a slot, or why the slot is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a slot is filled nearly always, and there are at most 1,024"
)]
pub(in crate::pool) enum Occupancy {
    /// Empty, and filled at once unless the cluster stops.
    Vacant,
    /// One worker, whose phase says more.
    Filled(PoolWorker),
    /// Empty until that instant, because the last life ended early.
    BackingOff { until: Monotonic },
    /// Empty until that instant, because the breaker is open.
    Degraded { until: Monotonic },
    /// Empty until a person asks for the slot's restart.
    Drained,
}

/// What can happen to a slot.
#[derive(Debug)]
pub(in crate::pool) enum SlotEvent {
    /// Something happened to the worker in the slot.
    Worker(WorkerEvent),
    /// The worker is dead, and this was decided for the slot.
    Emptied(RestartDecision),
    /// A worker takes the slot.
    Taken(Box<PoolWorker>),
}

/// One slot that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct SlotState {
    pub(in crate::pool) slot: Slot,
    /// The generation the slot is filled with next.
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) restart: RestartPolicy,
    occupancy: Occupancy,
    /// Since when this worker has been in the slot, or the slot has been empty.
    pub(in crate::pool) since: Monotonic,
    /// The slot's worker is not recycled before this.
    pub(in crate::pool) spared_until: Monotonic,
}

impl SlotState {
    pub(in crate::pool) fn vacant(
        slot: Slot,
        generation: Generation,
        policy: &Policy,
        now: Monotonic,
    ) -> SlotState {
        SlotState {
            slot,
            generation,
            restart: RestartPolicy::blank(policy),
            occupancy: Occupancy::Vacant,
            since: now,
            spared_until: now,
        }
    }

    pub(in crate::pool) fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    pub(in crate::pool) fn worker(&self) -> Option<&PoolWorker> {
        match &self.occupancy {
            Occupancy::Filled(worker) => Some(worker),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    pub(in crate::pool) fn worker_mut(&mut self) -> Option<&mut PoolWorker> {
        match &mut self.occupancy {
            Occupancy::Filled(worker) => Some(worker),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    pub(in crate::pool) fn is_filled_by(&self, life: Life) -> bool {
        self.worker().is_some_and(|worker| worker.life == life)
    }

    pub(in crate::pool) fn is_serving(&self) -> bool {
        self.worker().is_some_and(PoolWorker::is_serving)
    }

    pub(in crate::pool) fn is_drained(&self) -> bool {
        matches!(self.occupancy, Occupancy::Drained)
    }

    /// The generation of the slot's worker; of its next worker when the slot is empty.
    pub(in crate::pool) fn runs(&self) -> Generation {
        self.worker().map_or(self.generation, |worker| worker.generation)
    }

    /// Whether the slot is to be filled now.
    pub(in crate::pool) fn is_due(&self, now: Monotonic) -> bool {
        match self.occupancy {
            Occupancy::Vacant => true,
            Occupancy::Filled(_) | Occupancy::Drained => false,
            Occupancy::BackingOff { until } | Occupancy::Degraded { until } => until <= now,
        }
    }

    /// When a slot that waits is filled again.
    pub(in crate::pool) fn filled_at(&self) -> Option<Monotonic> {
        match self.occupancy {
            Occupancy::Vacant | Occupancy::Filled(_) | Occupancy::Drained => None,
            Occupancy::BackingOff { until } | Occupancy::Degraded { until } => Some(until),
        }
    }

    /// One thing happened to the slot.
    pub(in crate::pool) fn step(&mut self, event: SlotEvent, context: &mut WorkerContext<'_>) {
        if !matches!(event, SlotEvent::Worker(_)) {
            self.since = context.now;
        }
        let occupancy = std::mem::replace(&mut self.occupancy, Occupancy::Vacant);
        self.occupancy = match occupancy {
            Occupancy::Filled(worker) => self.filled(worker, event, context),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => Self::empty(occupancy, event),
        };
    }

    /// Nothing can happen to the worker of an empty slot, and any worker may take the slot.
    fn empty(occupancy: Occupancy, event: SlotEvent) -> Occupancy {
        match event {
            SlotEvent::Worker(_) | SlotEvent::Emptied(_) => occupancy,
            SlotEvent::Taken(worker) => Occupancy::Filled(*worker),
        }
    }

    fn filled(&self, mut worker: PoolWorker, event: SlotEvent, context: &mut WorkerContext<'_>) -> Occupancy {
        match event {
            SlotEvent::Worker(event) => {
                worker.step(event, context);
                Occupancy::Filled(worker)
            }
            SlotEvent::Emptied(decision) => self.wait(decision.wait, context.now),
            SlotEvent::Taken(next) => Occupancy::Filled(*next),
        }
    }

    fn wait(&self, wait: Duration, now: Monotonic) -> Occupancy {
        match (wait.is_zero(), self.restart.breaker_open) {
            (true, _) => Occupancy::Vacant,
            (false, true) => Occupancy::Degraded { until: now + wait },
            (false, false) => Occupancy::BackingOff { until: now + wait },
        }
    }

    /// Empties the slot and hands its worker out, if it had one.
    pub(in crate::pool) fn clear(&mut self, now: Monotonic) -> Option<PoolWorker> {
        self.since = now;
        match std::mem::replace(&mut self.occupancy, Occupancy::Vacant) {
            Occupancy::Filled(worker) => Some(worker),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    /// The worker in the slot ended unasked: what follows, by the restart policy. `None` for an empty slot.
    pub(in crate::pool) fn decide(
        &mut self,
        end: &EndOfLife,
        policy: &Policy,
        now: Monotonic,
        random: u64,
    ) -> Option<RestartDecision> {
        match &self.occupancy {
            Occupancy::Filled(worker) => Some(self.restart.decide(worker, end, policy, now, random)),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    /// The slot's worker was taken out because it leaves by itself.
    pub(in crate::pool) fn left(&mut self, decision: RestartDecision, now: Monotonic) {
        self.occupancy = self.wait(decision.wait, now);
        self.since = now;
    }

    /// The slot is filled with that generation from now on; what its former lives did is forgotten.
    pub(in crate::pool) fn change_generation(&mut self, generation: Generation, policy: &Policy) {
        self.generation = generation;
        self.restart.forgive(policy);
    }

    /// An empty slot that waits is filled at once.
    pub(in crate::pool) fn end_wait(&mut self) {
        match self.occupancy {
            Occupancy::Vacant | Occupancy::Filled(_) | Occupancy::Drained => {}
            Occupancy::BackingOff { .. } | Occupancy::Degraded { .. } => self.occupancy = Occupancy::Vacant,
        }
    }

    /// The slot stays empty until a person asks for its restart.
    pub(in crate::pool) fn drain(&mut self, now: Monotonic) {
        self.occupancy = Occupancy::Drained;
        self.since = now;
    }

    /// A drained slot is filled like any other again.
    pub(in crate::pool) fn end_drained(&mut self) {
        if self.is_drained() {
            self.occupancy = Occupancy::Vacant;
        }
    }
}
