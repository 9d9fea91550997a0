//! One slot: empty, filled by one worker, or waiting to be filled again; what ended its lives decides which.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::restart::{EndOfLife, RestartDecision, RestartPolicy};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::effect::Policy;
use crate::pool::worker::pool_worker::{PoolWorker, WorkerContext, WorkerEvent};

/// Who is in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a slot is filled nearly always, and there are at most 1,024"
)]
pub(in crate::pool) enum Occupancy {
    /// Nobody; filled as soon as the cluster is not stopping.
    Vacant,
    /// One worker, whose phase says more.
    Filled(PoolWorker),
    /// Nobody until then: the last life ended early.
    BackingOff { until: Monotonic },
    /// Nobody until then: the breaker is open.
    Degraded { until: Monotonic },
    /// Nobody until somebody asks for its restart.
    Drained,
}

/// What can happen to a slot.
#[derive(Debug)]
pub(in crate::pool) enum SlotEvent<'a> {
    /// Something happened to the worker in it.
    Told(WorkerEvent),
    /// That worker is gone, and this follows for the slot.
    Emptied(RestartDecision),
    /// A worker takes it.
    Taken(PoolWorker),
    /// Nobody shall be in it for now; who was is handed out.
    Cleared(&'a mut Option<PoolWorker>),
}

/// One slot with its past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct SlotState {
    pub(in crate::pool) slot: Slot,
    /// What it is filled with next.
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) restart: RestartPolicy,
    state: Occupancy,
    /// Since when nobody, or this one, is in it.
    pub(in crate::pool) since: Monotonic,
    /// Its worker is not recycled before that.
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
            state: Occupancy::Vacant,
            since: now,
            spared_until: now,
        }
    }

    pub(in crate::pool) fn state(&self) -> &Occupancy {
        &self.state
    }

    pub(in crate::pool) fn worker(&self) -> Option<&PoolWorker> {
        match &self.state {
            Occupancy::Filled(worker) => Some(worker),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    pub(in crate::pool) fn worker_mut(&mut self) -> Option<&mut PoolWorker> {
        match &mut self.state {
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

    /// The generation of the worker in it; of the next one when there is none.
    pub(in crate::pool) fn runs(&self) -> Generation {
        self.worker().map_or(self.generation, |worker| worker.generation)
    }

    pub(in crate::pool) fn is_due(&self, now: Monotonic) -> bool {
        match self.state {
            Occupancy::Vacant => true,
            Occupancy::Filled(_) | Occupancy::Drained => false,
            Occupancy::BackingOff { until } | Occupancy::Degraded { until } => until <= now,
        }
    }

    /// When it is filled again.
    pub(in crate::pool) fn filled_at(&self) -> Option<Monotonic> {
        match self.state {
            Occupancy::Vacant | Occupancy::Filled(_) | Occupancy::Drained => None,
            Occupancy::BackingOff { until } | Occupancy::Degraded { until } => Some(until),
        }
    }

    /// One thing happened to it.
    pub(in crate::pool) fn step(&mut self, event: SlotEvent<'_>, context: &mut WorkerContext<'_>) {
        if !matches!(event, SlotEvent::Told(_)) {
            self.since = context.now;
        }
        let state = std::mem::replace(&mut self.state, Occupancy::Vacant);
        self.state = match state {
            Occupancy::Vacant => self.vacated(Occupancy::Vacant, event),
            Occupancy::Drained => self.vacated(Occupancy::Drained, event),
            Occupancy::Filled(worker) => self.filled(worker, event, context),
            Occupancy::BackingOff { until } => self.vacated(Occupancy::BackingOff { until }, event),
            Occupancy::Degraded { until } => self.vacated(Occupancy::Degraded { until }, event),
        };
    }

    /// Nobody is in it: nothing can happen to a worker, and whoever comes may sit down.
    fn vacated(&self, state: Occupancy, event: SlotEvent<'_>) -> Occupancy {
        match event {
            SlotEvent::Told(_) | SlotEvent::Emptied(_) => state,
            SlotEvent::Taken(worker) => Occupancy::Filled(worker),
            SlotEvent::Cleared(_) => Occupancy::Vacant,
        }
    }

    fn filled(
        &self,
        mut worker: PoolWorker,
        event: SlotEvent<'_>,
        context: &mut WorkerContext<'_>,
    ) -> Occupancy {
        match event {
            SlotEvent::Told(input) => {
                worker.step(input, context);
                Occupancy::Filled(worker)
            }
            SlotEvent::Emptied(decision) => self.wait(decision.wait, context.now),
            SlotEvent::Taken(next) => Occupancy::Filled(next),
            SlotEvent::Cleared(out) => {
                *out = Some(worker);
                Occupancy::Vacant
            }
        }
    }

    fn wait(&self, wait: Duration, now: Monotonic) -> Occupancy {
        match (wait.is_zero(), self.restart.breaker_open) {
            (true, _) => Occupancy::Vacant,
            (false, true) => Occupancy::Degraded { until: now + wait },
            (false, false) => Occupancy::BackingOff { until: now + wait },
        }
    }

    /// The worker in it ended unasked: what follows, by the restart policy.
    pub(in crate::pool) fn decide(
        &mut self,
        end: &EndOfLife,
        policy: &Policy,
        now: Monotonic,
        random: u64,
    ) -> Option<RestartDecision> {
        match &self.state {
            Occupancy::Filled(worker) => Some(self.restart.ended(worker, end, policy, now, random)),
            Occupancy::Vacant
            | Occupancy::Drained
            | Occupancy::BackingOff { .. }
            | Occupancy::Degraded { .. } => None,
        }
    }

    /// Its worker was taken out because it leaves by itself.
    pub(in crate::pool) fn left(&mut self, decision: RestartDecision, now: Monotonic) {
        self.state = self.wait(decision.wait, now);
        self.since = now;
    }

    /// What was waited for is not worth it any more: fill it at once.
    pub(in crate::pool) fn hurry(&mut self) {
        match self.state {
            Occupancy::Vacant | Occupancy::Filled(_) | Occupancy::Drained => {}
            Occupancy::BackingOff { .. } | Occupancy::Degraded { .. } => self.state = Occupancy::Vacant,
        }
    }

    pub(in crate::pool) fn is_drained(&self) -> bool {
        matches!(self.state, Occupancy::Drained)
    }

    /// Nobody shall be in it until somebody asks for it.
    pub(in crate::pool) fn hold(&mut self, now: Monotonic) {
        self.state = Occupancy::Drained;
        self.since = now;
    }

    /// It is filled like any other again.
    pub(in crate::pool) fn end_drained(&mut self) {
        if self.is_drained() {
            self.state = Occupancy::Vacant;
        }
    }
}
