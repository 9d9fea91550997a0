//! Time as the pool feels it: when something is due, what a passed deadline does, and what the master's own sleep excuses.

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, OrphanedWork};
use super::slot::slot_state::SlotEvent;
use super::worker::heartbeat::{Stall, look_behind};
use super::worker::pool_worker::{PoolWorker, WorkerEvent};
use crate::base::time::{Grid, Monotonic};
use std::time::Duration;

impl Pool {
    /// The next instant at which time alone changes something. Whatever was due by the last event has been dealt with then (or
    /// waits for something else), so that nothing in the past is ever due.
    pub(super) fn due(&self) -> Option<Monotonic> {
        if self.mode == Mode::Over {
            return None;
        }
        let all_workers = self
            .all_workers()
            .filter_map(|worker| worker.deadline(self.policy_of(worker.generation)));
        let refills = self
            .seats
            .iter()
            .filter_map(|seat| seat.filled_at())
            .filter(|_| self.mode == Mode::Running);
        let breakers = self.seats.iter().filter_map(|seat| {
            seat.restart
                .closes_at(seat.worker()?, self.policy_of(seat.generation))
        });
        // Those who boot or only drain have no beats, but a nap of the master's has to be noticed for them too.
        let look = self
            .all_workers()
            .any(PoolWorker::can_be_killed)
            .then_some(self.next_look);
        all_workers
            .chain(refills)
            .chain(breakers)
            .chain(self.rollout.deadlines())
            .chain(self.balance.glance)
            .chain(self.second_sweep)
            .chain(look)
            .filter(|&due| due > self.now)
            .min()
    }

    /// Takes the new time. Waking long after what was due means that the master (or the whole machine) got no CPU or was
    /// stopped: that time is not held against any worker.
    pub(super) fn wake(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let due = self.due();
        let now = now.max(self.now);
        self.now = now;
        if let Some(from) = due.filter(|&due| now.since(due) > look_behind(self.beat_interval())) {
            self.stall = Stall { from, to: now };
            self.discount(effects);
        }
        let behind = look_behind(self.beat_interval());
        if self.next_look <= now {
            let point = Grid::new(self.beat_interval()).after(Monotonic(now.0.saturating_sub(nanos(behind))));
            self.next_look = point + behind;
        }
    }

    /// The finest grid any loaded generation beats on.
    pub(super) fn beat_interval(&self) -> Duration {
        self.policies
            .values()
            .map(|policy| policy.heartbeat_interval)
            .min()
            .unwrap_or_default()
    }

    fn discount(&mut self, effects: &mut Vec<Effect>) {
        let by = self.stall.length();
        if by > self.beat_interval() {
            announce(Announcement::Stalled { by, at: self.now }, effects);
        }
        self.rollout.discount(by);
        self.everyone(&WorkerEvent::MasterStalled(by), effects);
    }

    /// Whatever is due by now.
    pub(super) fn pass_time(&mut self, effects: &mut Vec<Effect>) {
        self.everyone(&WorkerEvent::TimePassed, effects);
        for index in 0..self.seats.len() {
            self.close_breaker(index, effects);
        }
        if self.second_sweep.is_some_and(|at| at <= self.now) {
            self.second_sweep = None;
            self.takeovers.leave(OrphanedWork::Before(self.incarnation));
        }
    }

    fn close_breaker(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let seat = &self.seats[index];
        let policy = self.policy_of(seat.generation);
        let held_out = seat
            .worker()
            .and_then(|worker| seat.restart.closes_at(worker, policy));
        if held_out.is_some_and(|at| at <= self.now) {
            let seat = &mut self.seats[index];
            seat.restart.close();
            announce(Announcement::BreakerClosed { slot: seat.slot }, effects);
        }
    }

    fn everyone(&mut self, input: &WorkerEvent, effects: &mut Vec<Effect>) {
        for index in 0..self.seats.len() {
            self.in_seat(index, SlotEvent::Told(input.clone()), effects);
        }
        self.in_replacement(input.clone(), effects);
        for index in 0..self.leaving.len() {
            self.in_leaving(index, input.clone(), effects);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
