//! How lives end and slots are filled again: crashes, those who leave, the crowd of those who drain.

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, KillReason};
use super::protocol::event::Exit;
use super::protocol::verdict::Failure;
use super::slot::restart::{End, Sentence};
use super::slot::slot_state::Occurrence;
use super::worker::pool_worker::{Input, Member, Phase};
use crate::base::exit::Exit as ExitCode;

impl Pool {
    /// The worker of a slot ended unasked.
    pub(super) fn emptied(&mut self, index: usize, end: End, effects: &mut Vec<Effect>) {
        let Some(sentence) = self.judge(index, &end) else {
            return;
        };
        let record = &self.seats[index].record;
        let (failures, degraded) = (record.failures, record.breaker_open);
        let mut back_to = None;
        if let Some(member) = self.seats[index].member().cloned() {
            self.certify_fallen(&member, &end, sentence, degraded);
            if member.ready_at.is_none() {
                back_to = self.not_grown(member.life.slot, &failure(&member, &end), effects);
            }
        }
        if let Some(life) = self.seats[index].member().map(|member| member.life) {
            match end {
                End::Exited { exit, .. } => {
                    announce(
                        Announcement::Crashed {
                            life,
                            exit,
                            restart_in: sentence.wait,
                            failures,
                        },
                        effects,
                    );
                }
                End::SpawnFailed(reason) => {
                    announce(
                        Announcement::SpawnFailed {
                            life,
                            reason,
                            restart_in: sentence.wait,
                        },
                        effects,
                    );
                }
                End::LeftByItself => {}
            }
        }
        self.tell_breaker(index, sentence, effects);
        self.in_seat(index, Occurrence::Emptied(sentence), effects);
        if let Some(former) = back_to.filter(|former| *former < self.size()) {
            self.resize(former, effects);
        }
    }

    fn judge(&mut self, index: usize, end: &End) -> Option<Sentence> {
        let random = self.random.draw();
        let generation = self.seats[index].generation;
        let policy = self
            .policies
            .get(&generation)
            .expect("what a slot is filled with next is loaded");
        self.seats[index].judge(end, policy, self.now, random)
    }

    fn tell_breaker(&self, index: usize, sentence: Sentence, effects: &mut Vec<Effect>) {
        if let Some(deaths) = sentence.opened {
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
    pub(super) fn gone(&mut self, index: usize, end: &End, effects: &mut Vec<Effect>) {
        let member = self.leaving.remove(index);
        self.certify_gone(&member, end);
        self.drained(member.life, effects);
        let exit = match end {
            End::Exited { exit, .. } => *exit,
            End::SpawnFailed(_) | End::LeftByItself => return,
        };
        if let Some(since) = member.draining_since() {
            let after = self.now.since(since);
            announce(
                Announcement::Drained {
                    life: member.life,
                    after,
                    exit,
                },
                effects,
            );
        }
        self.note_cut(&member, exit);
    }

    /// Whether requests were cut: the worker says so itself by its exit code, or it did not live to say anything and was answering
    /// some when it was last looked at.
    fn note_cut(&mut self, member: &Member, exit: Exit) {
        let was_cut = match exit {
            Exit::Code(code) => code == i32::from(ExitCode::DrainCut.code()),
            Exit::Signal(_) => member.load.in_flight > 0,
        };
        match &mut self.mode {
            Mode::Stopping { cut } => *cut |= was_cut,
            Mode::Running | Mode::GivingUp | Mode::Over => {}
        }
    }

    /// A worker leaves its place and drains.
    pub(super) fn retire(&mut self, member: Member, purpose: Purpose, effects: &mut Vec<Effect>) {
        self.leave(member, Input::Retired, purpose, effects);
    }

    /// A worker leaves its place one way or the other.
    pub(super) fn leave(
        &mut self,
        mut member: Member,
        how: Input,
        purpose: Purpose,
        effects: &mut Vec<Effect>,
    ) {
        member.purpose = Some(purpose);
        self.leaving.push(member);
        self.in_leaving(self.leaving.len() - 1, how, effects);
    }

    /// Takes the worker out of a slot, if there is one.
    pub(super) fn clear(&mut self, index: usize, effects: &mut Vec<Effect>) -> Option<Member> {
        let mut out = None;
        self.in_seat(index, Occurrence::Cleared(&mut out), effects);
        out
    }

    /// Workers that said STOPPING without having been asked drain on, but not in a slot: it is filled by somebody else.
    pub(super) fn release_leavers(&mut self, effects: &mut Vec<Effect>) {
        for index in 0..self.seats.len() {
            self.release_leaver(index, effects);
        }
    }

    pub(super) fn release_leaver(&mut self, index: usize, effects: &mut Vec<Effect>) {
        if !self.seats[index].member().is_some_and(Member::is_leaving) {
            return;
        }
        let sentence = self.judge(index, &End::LeftByItself);
        let member = self.clear(index, effects);
        self.leaving.extend(member.map(|member| Member {
            purpose: Some(Purpose::Itself),
            ..member
        }));
        if let Some(sentence) = sentence {
            self.tell_breaker(index, sentence, effects);
            self.seats[index].left(sentence, self.now);
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
                let member = self.start_life(slot, generation, effects);
                self.in_seat(index, Occurrence::Taken(member), effects);
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
            .filter(|member| matches!(member.phase, Phase::Draining { .. }))
            .count()
    }

    /// So many workers may drain at all: `max_draining` that others follow, and as many as there ever were slots, since whoever a
    /// smaller cluster lets go is followed by nobody.
    pub(super) fn crowd(&self) -> usize {
        usize::from(self.policy().max_draining) + usize::from(self.slots_ever())
    }

    /// Too many drain: the one that has drained longest is cut. Not while stopping, when everyone drains and nobody follows.
    pub(super) fn thin_crowd(&mut self, effects: &mut Vec<Effect>) {
        if self.mode != Mode::Running {
            return;
        }
        while self.draining() > self.crowd() {
            let draining = self
                .leaving
                .iter()
                .enumerate()
                .filter_map(|(index, member)| match member.phase {
                    Phase::Draining { since, .. } => Some((since, index)),
                    Phase::Starting { .. }
                    | Phase::Serving { .. }
                    | Phase::Late { .. }
                    | Phase::Killed { .. } => None,
                });
            let Some((_, index)) = draining.min() else { return };
            self.in_leaving(index, Input::Killed(KillReason::DrainLimit), effects);
        }
    }
}

/// Why somebody who should have taken a slot over did not.
pub(super) fn failure(member: &Member, end: &End) -> Failure {
    let life = member.life;
    match end {
        End::SpawnFailed(reason) => Failure::SpawnFailed {
            life,
            reason: reason.clone(),
        },
        End::LeftByItself => Failure::WentByItself { life },
        End::Exited { exit, .. } => match (&member.phase, member.ready_at) {
            (
                Phase::Killed {
                    reason: KillReason::NeverReady,
                    ..
                },
                _,
            ) => Failure::NeverReady { life },
            (Phase::Killed { .. }, _) => Failure::Hung { life },
            (_, None) => Failure::ExitedAtBoot { life, exit: *exit },
            (_, Some(_)) => Failure::DiedBaking { life, exit: *exit },
        },
    }
}
