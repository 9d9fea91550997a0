//! Whoever stands beside a slot's worker to replace it, for a rollout or within a generation: takes over, is sent away, or
//! comes to nothing.

use super::deploy::rollout::{Fact, Rollout};
use super::exits::failure;
use super::pool::Pool;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, KillReason};
use super::protocol::verdict::{Failure, Replaced};
use super::slot::restart::End;
use super::slot::slot_state::Occurrence;
use super::worker::pool_worker::{Input, Member, Phase};
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
        self.in_seat(index, Occurrence::Taken(replacement), effects);
        if let Some(old) = old {
            self.retire(old, purpose, effects);
        }
        Some(life)
    }

    fn note_replaced(&mut self, replacement: &Member) {
        let (Rollout::Rolling { job, .. }, Some(trip)) = (&self.rollout, &mut self.desk.trip) else {
            return;
        };
        trip.slots.push(Replaced {
            slot: replacement.life.slot,
            life: replacement.life,
            ready_after: replacement
                .ready_at
                .map(|ready| ready.since(replacement.started))
                .unwrap_or_default(),
            replaced_after: self.now.since(job.started),
        });
    }

    pub(super) fn refit(&mut self, index: usize, generation: Generation) {
        let policy = self
            .policies
            .get(&generation)
            .expect("a generation that has a worker is loaded");
        self.seats[index].generation = generation;
        self.seats[index].record.forgive(policy);
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
            Phase::Starting { .. } => Input::Killed(killed),
            Phase::Serving { .. } | Phase::Late { .. } | Phase::Draining { .. } | Phase::Killed { .. } => {
                Input::Retired
            }
        };
        self.leave(replacement, how, purpose, effects);
    }

    /// Whoever stood beside is dead.
    pub(super) fn lost_replacement(&mut self, end: &End, effects: &mut Vec<Effect>) {
        if let Some(member) = self.replacement.take() {
            self.certify_replacement(&member, end);
            self.fell_short(failure(&member, end), effects);
        }
    }

    /// Whoever stood beside said STOPPING by itself.
    pub(super) fn release_replacement(&mut self, effects: &mut Vec<Effect>) {
        if let Some(member) = self.replacement.take_if(|member| member.is_leaving()) {
            let reason = failure(&member, &End::LeftByItself);
            self.leaving.push(Member {
                purpose: Some(Purpose::Itself),
                ..member
            });
            self.fell_short(reason, effects);
        }
    }

    fn fell_short(&mut self, reason: Failure, effects: &mut Vec<Effect>) {
        if self.relief.is_some() {
            self.not_relieved(reason, effects);
        } else {
            self.show(Fact::Lost(reason), effects);
        }
    }
}
