//! How lives end and slots are filled again: crashes, those who leave, the crowd of those who drain.

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, KillReason};
use super::protocol::event::Exit;
use super::protocol::verdict::Failure;
use super::slot::restart::{EndOfLife, RestartDecision};
use super::slot::slot_state::SlotEvent;
use super::worker::pool_worker::{PoolWorker, WorkerEvent, WorkerPhase};
use crate::base::exit::Exit as ExitCode;

impl Pool {
    /// The worker of a slot ended unasked.
    pub(super) fn emptied(&mut self, index: usize, end: EndOfLife, effects: &mut Vec<Effect>) {
        let Some(decision) = self.decide(index, &end) else {
            return;
        };
        let restart = &self.seats[index].restart;
        let (failures, degraded) = (restart.failures, restart.breaker_open);
        let mut back_to = None;
        if let Some(worker) = self.seats[index].worker().cloned() {
            self.certify_fallen(&worker, &end, decision, degraded);
            if worker.ready_at.is_none() {
                back_to = self.not_grown(worker.life.slot, &failure(&worker, &end), effects);
            }
        }
        if let Some(life) = self.seats[index].worker().map(|worker| worker.life) {
            match end {
                EndOfLife::Exited { exit, .. } => {
                    announce(
                        Announcement::Crashed {
                            life,
                            exit,
                            restart_in: decision.wait,
                            failures,
                        },
                        effects,
                    );
                }
                EndOfLife::SpawnFailed(reason) => {
                    announce(
                        Announcement::SpawnFailed {
                            life,
                            reason,
                            restart_in: decision.wait,
                        },
                        effects,
                    );
                }
                EndOfLife::LeftByItself => {}
            }
        }
        self.tell_breaker(index, decision, effects);
        self.in_seat(index, SlotEvent::Emptied(decision), effects);
        if let Some(former) = back_to.filter(|former| *former < self.size()) {
            self.resize(former, effects);
        }
    }

    fn decide(&mut self, index: usize, end: &EndOfLife) -> Option<RestartDecision> {
        let random = self.random.draw();
        let generation = self.seats[index].generation;
        let policy = self
            .policies
            .get(&generation)
            .expect("what a slot is filled with next is loaded");
        self.seats[index].decide(end, policy, self.now, random)
    }

    fn tell_breaker(&self, index: usize, decision: RestartDecision, effects: &mut Vec<Effect>) {
        if let Some(deaths) = decision.opened {
            announce(
                Announcement::BreakerOpened {
                    slot: self.seats[index].slot,
                    deaths,
                },
                effects,
            );
        }
    }

    /// One of those who leave is gone.
    pub(super) fn gone(&mut self, index: usize, end: &EndOfLife, effects: &mut Vec<Effect>) {
        let worker = self.leaving.remove(index);
        self.certify_gone(&worker, end);
        self.drained(worker.life, effects);
        let exit = match end {
            EndOfLife::Exited { exit, .. } => *exit,
            EndOfLife::SpawnFailed(_) | EndOfLife::LeftByItself => return,
        };
        if let Some(since) = worker.draining_since() {
            let after = self.now.since(since);
            announce(
                Announcement::Drained {
                    life: worker.life,
                    after,
                    exit,
                },
                effects,
            );
        }
        self.note_cut(&worker, exit);
    }

    /// Whether requests were cut: the worker says so itself by its exit code, or it did not live to say anything and was answering
    /// some when it was last looked at.
    fn note_cut(&mut self, worker: &PoolWorker, exit: Exit) {
        let was_cut = match exit {
            Exit::Code(code) => code == i32::from(ExitCode::DrainCut.code()),
            Exit::Signal(_) => worker.load.in_flight > 0,
        };
        match &mut self.mode {
            Mode::Stopping { cut } => *cut |= was_cut,
            Mode::Running | Mode::GivingUp | Mode::Over => {}
        }
    }

    /// A worker leaves its place and drains.
    pub(super) fn retire(&mut self, worker: PoolWorker, purpose: Purpose, effects: &mut Vec<Effect>) {
        self.leave(worker, WorkerEvent::Retired, purpose, effects);
    }

    /// A worker leaves its place one way or the other.
    pub(super) fn leave(
        &mut self,
        mut worker: PoolWorker,
        how: WorkerEvent,
        purpose: Purpose,
        effects: &mut Vec<Effect>,
    ) {
        worker.purpose = Some(purpose);
        self.leaving.push(worker);
        self.in_leaving(self.leaving.len() - 1, how, effects);
    }

    /// Takes the worker out of a slot, if there is one.
    pub(super) fn clear(&mut self, index: usize, effects: &mut Vec<Effect>) -> Option<PoolWorker> {
        let mut out = None;
        self.in_seat(index, SlotEvent::Cleared(&mut out), effects);
        out
    }

    /// Workers that said STOPPING without having been asked drain on, but not in a slot: it is filled by somebody else.
    pub(super) fn release_leavers(&mut self, effects: &mut Vec<Effect>) {
        for index in 0..self.seats.len() {
            self.release_leaver(index, effects);
        }
    }

    pub(super) fn release_leaver(&mut self, index: usize, effects: &mut Vec<Effect>) {
        if !self.seats[index].worker().is_some_and(PoolWorker::is_leaving) {
            return;
        }
        let decision = self.decide(index, &EndOfLife::LeftByItself);
        let worker = self.clear(index, effects);
        self.leaving.extend(worker.map(|worker| PoolWorker {
            purpose: Some(Purpose::Itself),
            ..worker
        }));
        if let Some(decision) = decision {
            self.tell_breaker(index, decision, effects);
            self.seats[index].left(decision, self.now);
        }
    }

    /// Fills whatever is due, lowest slot first.
    pub(super) fn fill(&mut self, effects: &mut Vec<Effect>) {
        if self.mode != Mode::Running {
            return;
        }
        for index in 0..self.seats.len() {
            if self.seats[index].is_due(self.now) {
                let (slot, generation) = (self.seats[index].slot, self.seats[index].generation);
                let worker = self.start_life(slot, generation, effects);
                self.in_seat(index, SlotEvent::Taken(worker), effects);
            }
        }
    }

    /// One more may be replaced.
    pub(super) fn has_room(&self) -> bool {
        self.draining() < usize::from(self.policy().max_draining.max(1))
    }

    pub(super) fn draining(&self) -> usize {
        self.leaving
            .iter()
            .filter(|worker| matches!(worker.phase, WorkerPhase::Draining { .. }))
            .count()
    }

    /// So many workers may drain at all: `max_draining` that others follow, and as many as there ever were slots, since whoever a
    /// smaller cluster lets go is followed by nobody.
    pub(super) fn draining_limit(&self) -> usize {
        usize::from(self.policy().max_draining) + usize::from(self.slots_ever())
    }

    /// Too many drain: the one that has drained longest is cut. Not while stopping, when everyone drains and nobody follows.
    pub(super) fn enforce_drain_limit(&mut self, effects: &mut Vec<Effect>) {
        if self.mode != Mode::Running {
            return;
        }
        while self.draining() > self.draining_limit() {
            let draining = self
                .leaving
                .iter()
                .enumerate()
                .filter_map(|(index, worker)| match worker.phase {
                    WorkerPhase::Draining { since, .. } => Some((since, index)),
                    WorkerPhase::Starting { .. }
                    | WorkerPhase::Serving { .. }
                    | WorkerPhase::Late { .. }
                    | WorkerPhase::Killed { .. } => None,
                });
            let Some((_, index)) = draining.min() else { return };
            self.in_leaving(index, WorkerEvent::Killed(KillReason::DrainLimit), effects);
        }
    }
}

/// Why somebody who should have taken a slot over did not.
pub(super) fn failure(worker: &PoolWorker, end: &EndOfLife) -> Failure {
    let life = worker.life;
    match end {
        EndOfLife::SpawnFailed(reason) => Failure::SpawnFailed {
            life,
            reason: reason.clone(),
        },
        EndOfLife::LeftByItself => Failure::WentByItself { life },
        EndOfLife::Exited { exit, .. } => match (&worker.phase, worker.ready_at) {
            (
                WorkerPhase::Killed {
                    reason: KillReason::NeverReady,
                    ..
                },
                _,
            ) => Failure::NeverReady { life },
            (WorkerPhase::Killed { .. }, _) => Failure::Hung { life },
            (_, None) => Failure::ExitedAtBoot { life, exit: *exit },
            (_, Some(_)) => Failure::DiedBaking { life, exit: *exit },
        },
    }
}
