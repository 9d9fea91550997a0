//! How workers leave and slots are filled again: crashes, workers that leave, refills.

use super::parts::Parts;
use super::pool::{Pool, Position};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, announce};
use super::protocol::facts::{OrphanedWork, ProcessExit};
use super::slot::restart::RestartDecision;
use super::slot::slot_state::SlotEvent;
use super::worker::end_of_life::EndOfLife;
use super::worker::pool_worker::PoolWorker;
use crate::base::exit::Exit as ExitCode;
use crate::base::ids::{Life, Slot};

impl Pool {
    /// A worker is dead, or could not be started.
    pub(super) fn worker_ended(&mut self, life: Life, end: EndOfLife, effects: &mut Vec<Effect>) {
        let Some(position) = self.position(life) else {
            return;
        };
        let (routing, ..) = self.routing_mut();
        routing.worker_ended(life);
        if !matches!(end, EndOfLife::SpawnFailed(_)) {
            routing.add_orphaned_work(OrphanedWork::Life(life));
        }
        match position {
            Position::Slot(slot) => {
                // The worker may have said STOPPING in the same batch of events.
                self.release_leaver(slot, effects);
                match self.position(life) {
                    Some(Position::Leaving(index)) => self.gone(index, &end, effects),
                    Some(Position::Slot(_) | Position::Replacement) | None => {
                        self.crashed(slot, end, effects);
                    }
                }
            }
            Position::Replacement => self.replacement_died(&end, effects),
            Position::Leaving(index) => self.gone(index, &end, effects),
        }
    }

    /// The worker of a slot ended unasked.
    fn crashed(&mut self, slot: Slot, end: EndOfLife, effects: &mut Vec<Effect>) {
        let Some(decision) = self.decide_restart(slot, &end) else {
            return;
        };
        let Some(worker) = self.fleet().slot(slot).worker().cloned() else {
            return;
        };
        let now = self.now();
        self.parts().fleet.certify_crash(&worker, &end, decision, now);
        let never_ready = worker.ready_at.is_none();
        let former_size = self.requests().scales.size_before(slot);
        let failed_scale = former_size.filter(|_| never_ready);
        let failed_scale = failed_scale.map(|size| (size, end.failure(&worker)));
        let failures = self.fleet().slot(slot).restart.failures;
        announce_crash(worker.life, end, decision, failures, effects);
        announce_breaker(slot, decision, effects);
        self.step_slot(slot, SlotEvent::Emptied(decision), effects);
        if let Some((size, reason)) = failed_scale {
            self.scale_failed(size, &reason, effects);
        }
    }

    fn decide_restart(&mut self, slot: Slot, end: &EndOfLife) -> Option<RestartDecision> {
        let random = self.clock_mut().draw();
        let Parts {
            fleet, conditions, ..
        } = self.parts();
        let state = fleet.slot_mut(slot);
        let policy = conditions.generations.policy_of(state.generation);
        state.decide(end, policy, conditions.now, random)
    }

    /// One of the workers that leave is dead.
    fn gone(&mut self, index: usize, end: &EndOfLife, effects: &mut Vec<Effect>) {
        let refills = self.mode().serves();
        let Parts {
            fleet,
            requests,
            conditions,
            ..
        } = self.parts();
        let now = conditions.now;
        let worker = fleet.remove_leaving(index, end, refills, now);
        requests.drains.answer_gone(worker.life, now, effects);
        let Some(exit) = end.exit() else { return };
        if let Some(since) = worker.draining_since() {
            let (life, after) = (worker.life, now.since(since));
            announce(Announcement::Drained { life, after, exit }, effects);
        }
        let runs_programs = self.generations().policy_of(worker.generation).runs_programs;
        if was_cut(&worker, exit, runs_programs) {
            self.mode_mut().note_cut();
        }
    }

    /// Workers that said STOPPING without having been asked drain on, but not in a slot: another worker fills
    /// it.
    pub(super) fn release_leavers(&mut self, effects: &mut Vec<Effect>) {
        for slot in self.fleet().slots().numbers() {
            self.release_leaver(slot, effects);
        }
    }

    fn release_leaver(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let worker = self.fleet().slot(slot).worker();
        if !worker.is_some_and(PoolWorker::is_leaving) {
            return;
        }
        let decision = self.decide_restart(slot, &EndOfLife::LeftByItself);
        let now = self.now();
        let Parts { fleet, .. } = self.parts();
        if let Some(worker) = fleet.slot_mut(slot).clear(now) {
            fleet.let_go(worker);
        }
        if let Some(decision) = decision {
            announce_breaker(slot, decision, effects);
            fleet.slot_mut(slot).left(decision, now);
        }
    }

    /// Fills the slots that are due, the lowest first.
    pub(super) fn fill_slots(&mut self, effects: &mut Vec<Effect>) {
        if !self.mode().serves() {
            return;
        }
        for slot in self.fleet().slots().numbers() {
            let state = self.fleet().slot(slot);
            if state.is_due(self.now()) {
                let worker = self.start_worker(slot, state.generation, effects);
                self.step_slot(slot, SlotEvent::Taken(Box::new(worker)), effects);
            }
        }
    }
}

/// Whether requests were cut: the worker says so by its exit code, or it was killed and was answering some at
/// the last look. A program that served and was killed may have been answering some: nobody knows.
fn was_cut(worker: &PoolWorker, exit: ProcessExit, runs_programs: bool) -> bool {
    match exit {
        ProcessExit::Code(code) => code == i32::from(ExitCode::DrainCut.code()),
        ProcessExit::Signal(_) if runs_programs => worker.ready_at.is_some(),
        ProcessExit::Signal(_) => worker.load.in_flight > 0,
    }
}

fn announce_crash(
    life: Life,
    end: EndOfLife,
    decision: RestartDecision,
    failures: u32,
    effects: &mut Vec<Effect>,
) {
    let restart_in = decision.wait;
    let announcement = match end {
        EndOfLife::Exited { exit, .. } => Announcement::Crashed {
            life,
            exit,
            restart_in,
            failures,
        },
        EndOfLife::SpawnFailed(reason) => Announcement::SpawnFailed {
            life,
            reason,
            restart_in,
        },
        EndOfLife::LeftByItself => return,
    };
    announce(announcement, effects);
}

fn announce_breaker(slot: Slot, decision: RestartDecision, effects: &mut Vec<Effect>) {
    if let Some(deaths) = decision.opened {
        announce(Announcement::BreakerOpened { slot, deaths }, effects);
    }
}
