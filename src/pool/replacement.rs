//! Whoever stands beside a slot's worker to replace it, for a rollout or within a generation: takes over, is sent away, or
//! comes to nothing.

use super::deploy::rollout::{Rollout, RolloutEvent};
use super::exits::failure;
use super::pool::Pool;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, KillReason};
use super::protocol::verdict::{Failure, Replaced};
use super::slot::restart::EndOfLife;
use super::slot::slot_state::SlotEvent;
use super::worker::pool_worker::{PoolWorker, WorkerEvent, WorkerPhase};
use crate::base::ids::{Generation, Life};

impl Pool {
    /// New before old: whoever stood beside takes the slot, and who was in it drains.
    pub(super) fn swap(&mut self, purpose: Purpose, effects: &mut Vec<Effect>) -> Option<Life> {
        let replacement = self.replacement.take()?;
        let life = replacement.life;
        let (index, generation) = (replacement.life.slot.index(), replacement.generation);
        self.note_replaced(&replacement);
        let old = self.clear(index, effects);
        if self.seats[index].generation != generation || purpose == Purpose::Restart {
            self.refit(index, generation);
        }
        self.in_seat(index, SlotEvent::Taken(replacement), effects);
        if let Some(old) = old {
            self.retire(old, purpose, effects);
        }
        Some(life)
    }

    fn note_replaced(&mut self, replacement: &PoolWorker) {
        let (Rollout::Rolling { change, .. }, Some(waiters)) = (&self.rollout, &mut self.desk.waiters) else {
            return;
        };
        waiters.slots.push(Replaced {
            slot: replacement.life.slot,
            life: replacement.life,
            ready_after: replacement
                .ready_at
                .map(|ready| ready.since(replacement.started))
                .unwrap_or_default(),
            replaced_after: self.now.since(change.started),
        });
    }

    pub(super) fn refit(&mut self, index: usize, generation: Generation) {
        let policy = self
            .policies
            .get(&generation)
            .expect("a generation that has a worker is loaded");
        self.seats[index].generation = generation;
        self.seats[index].restart.forgive(policy);
    }

    /// Whoever stands beside goes: at once while it boots, since it has accepted nothing, otherwise by draining.
    pub(super) fn dismiss_replacement(&mut self, effects: &mut Vec<Effect>) {
        let Some(replacement) = self.replacement.take() else {
            return;
        };
        let (purpose, killed) = match self.relief {
            Some(_) => (Purpose::NotNeeded, KillReason::NotNeeded),
            None => (Purpose::BackOut, KillReason::BackedOut),
        };
        let how = match replacement.phase {
            WorkerPhase::Starting { .. } => WorkerEvent::Killed(killed),
            WorkerPhase::Serving { .. }
            | WorkerPhase::Late { .. }
            | WorkerPhase::Draining { .. }
            | WorkerPhase::Killed { .. } => WorkerEvent::Retired,
        };
        self.leave(replacement, how, purpose, effects);
    }

    /// Whoever stood beside is dead.
    pub(super) fn lost_replacement(&mut self, end: &EndOfLife, effects: &mut Vec<Effect>) {
        if let Some(worker) = self.replacement.take() {
            self.certify_replacement(&worker, end);
            self.fell_short(failure(&worker, end), effects);
        }
    }

    /// Whoever stood beside said STOPPING by itself.
    pub(super) fn release_replacement(&mut self, effects: &mut Vec<Effect>) {
        if let Some(worker) = self.replacement.take_if(|worker| worker.is_leaving()) {
            let reason = failure(&worker, &EndOfLife::LeftByItself);
            self.leaving.push(PoolWorker {
                purpose: Some(Purpose::Itself),
                ..worker
            });
            self.fell_short(reason, effects);
        }
    }

    fn fell_short(&mut self, reason: Failure, effects: &mut Vec<Effect>) {
        if self.relief.is_some() {
            self.not_relieved(reason, effects);
        } else {
            self.show(RolloutEvent::Lost(reason), effects);
        }
    }
}
