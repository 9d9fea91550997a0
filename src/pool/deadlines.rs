//! Time as the pool feels it: when something is due, what a passed deadline does, and what a stall of the
//! master excuses.

use super::deploy::rollout::Rollout;
use super::lifecycle::Mode;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, announce};
use super::routing::weights::settled_at;
use super::slot::slot_state::{SlotEvent, SlotState};
use super::worker::pool_worker::{PoolWorker, WorkerEvent};
use crate::base::ids::Slot;
use crate::base::time::Monotonic;

impl Pool {
    /// The next instant at which time alone changes something. Everything that was due by the last event has
    /// been dealt with then (or waits for something else), so that nothing in the past is ever due.
    pub(super) fn due(&self) -> Option<Monotonic> {
        if self.mode() == Mode::Over {
            return None;
        }
        let rollout = self.operation().rollout();
        self.worker_deadlines()
            .chain(self.slot_deadlines())
            .chain(rollout.into_iter().flat_map(Rollout::deadlines))
            .chain(self.routing().deadlines())
            .chain(self.mode().stops_at())
            .filter(|&due| due > self.now())
            .min()
    }

    fn worker_deadlines(&self) -> impl Iterator<Item = Monotonic> {
        let workers = self.all_workers();
        let own = workers.iter().filter_map(|worker| {
            let policy = self.generations().policy_of(worker.generation);
            worker.deadline(policy)
        });
        // Workers that boot or only drain have no beats, but a stall of the master has to be noticed for
        // them, too.
        let any = workers.iter().any(PoolWorker::can_be_killed);
        let settled = self.fleet().leaving().iter().filter_map(settled_at);
        let settled = settled.filter(|_| self.generations().policy().runs_programs);
        own.chain(settled).chain(any.then_some(self.clock().next_look()))
    }

    fn slot_deadlines(&self) -> impl Iterator<Item = Monotonic> {
        let refills = self.mode().serves();
        self.fleet().slots().iter().flat_map(move |state| {
            let filled_at = state.filled_at().filter(|_| refills);
            [filled_at, self.breaker_closes_at(state)].into_iter().flatten()
        })
    }

    fn breaker_closes_at(&self, state: &SlotState) -> Option<Monotonic> {
        let policy = self.generations().policy_of(state.generation);
        state.restart.closes_at(state.worker()?, policy)
    }

    /// Takes the new time. What the master missed in a stall is held against no worker.
    pub(super) fn wake(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let (due, interval) = (self.due(), self.generations().beat_interval());
        let Some(stalled) = self.clock_mut().advance(now, due, interval) else {
            return;
        };
        if stalled > interval {
            let at = self.now();
            announce(Announcement::Stalled { by: stalled, at }, effects);
        }
        if let Some(operation) = self.parts().operation.rollout_mut() {
            operation.rollout.discount(stalled);
        }
        self.tell_all(&WorkerEvent::MasterStalled(stalled), effects);
    }

    /// Does what is due by now.
    pub(super) fn pass_time(&mut self, effects: &mut Vec<Effect>) {
        self.end_stop_delay(effects);
        self.tell_all(&WorkerEvent::TimePassed, effects);
        for slot in self.fleet().slots().numbers() {
            self.close_breaker(slot, effects);
        }
        let (incarnation, now) = (self.incarnation(), self.now());
        self.routing_mut().0.pass_time(incarnation, now);
    }

    fn close_breaker(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let held_out = self.breaker_closes_at(self.fleet().slot(slot));
        if held_out.is_some_and(|at| at <= self.now()) {
            self.parts().fleet.slot_mut(slot).restart.close();
            announce(Announcement::BreakerClosed { slot }, effects);
        }
    }

    fn tell_all(&mut self, event: &WorkerEvent, effects: &mut Vec<Effect>) {
        for slot in self.fleet().slots().numbers() {
            self.step_slot(slot, SlotEvent::Worker(event.clone()), effects);
        }
        self.step_replacement(event.clone(), effects);
        for index in 0..self.fleet().leaving().len() {
            self.step_leaving(index, event.clone(), effects);
        }
    }
}
