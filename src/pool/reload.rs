//! Reloads: what the rollout is shown and what its orders do to the slots.

use super::deploy::canary::Answers;
use super::deploy::rollout::{Beside, Fact, Job, Order, Rollout, TRIES, View};
use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, Policy, SystemdState};
use super::protocol::event::{NotLoaded, Ticket};
use super::protocol::verdict::{Failure, Share};
use super::requests::queue::Trip;
use super::slot::slot_state::Seat;
use super::worker::pool_worker::Member;
use crate::base::ids::{Generation, Life, Slot};

impl Pool {
    /// A new generation is to be loaded and rolled out.
    pub(super) fn begin_reload(&mut self, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        self.desk.trip = Some(Trip::begun(tickets, false));
        self.newest = self.newest.next();
        self.rollout = Rollout::Loading(Job {
            target: self.newest,
            from: self.current,
            started: self.now,
        });
        announce(
            Announcement::ReloadStarted {
                generation: self.newest,
            },
            effects,
        );
        if self.milestones.told_ready {
            effects.push(Effect::Tell(SystemdState::Reloading));
        }
        effects.push(Effect::Load(self.newest));
    }

    /// The previous generation is loaded still; its first worker is a canary like any other.
    pub(super) fn begin_rollback(
        &mut self,
        target: Generation,
        tickets: Vec<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        self.desk.trip = Some(Trip::begun(tickets, true));
        self.rollout = Rollout::Booting(Job {
            target,
            from: self.current,
            started: self.now,
        });
        announce(Announcement::RollbackStarted { generation: target }, effects);
        if self.milestones.told_ready {
            effects.push(Effect::Tell(SystemdState::Reloading));
        }
        self.perform(Order::StartCanary(target), effects);
    }

    /// The canary's own readiness answered.
    pub(super) fn probed(&mut self, life: Life, verdict: Result<(), String>, effects: &mut Vec<Effect>) {
        if self
            .replacement
            .as_ref()
            .is_some_and(|member| member.life == life)
        {
            self.show(Fact::Probed(life, verdict), effects);
        }
    }

    /// The shell has read the configuration and opened the binary, or not. Nobody waits for it any more: let go of it.
    pub(super) fn loaded(&mut self, verdict: Result<Policy, NotLoaded>, effects: &mut Vec<Effect>) {
        let Rollout::Loading(job) = self.rollout else {
            if verdict.is_ok() && !self.policies.contains_key(&self.newest) {
                effects.push(Effect::Unload(self.newest));
            }
            return;
        };
        let fact = match verdict {
            Ok(policy) => {
                self.policies.insert(job.target, policy);
                Ok(())
            }
            Err(NotLoaded::Configuration(reason)) => Err(Failure::BadConfiguration { reason }),
            Err(NotLoaded::Binary(reason)) => Err(Failure::BadBinary { reason }),
        };
        self.show(Fact::Loaded(fact), effects);
    }

    /// Lets the rollout look until it has nothing more to order; begins the next one that was asked for.
    pub(super) fn roll(&mut self, effects: &mut Vec<Effect>) {
        self.release_replacement(effects);
        if self.relief.is_some() {
            self.relieve(effects);
        }
        while self.show(Fact::Looked(self.view()), effects) {}
        while self.begin_next(effects) {}
        if self.mode == Mode::Running && self.is_free() {
            self.recycle(effects);
        }
    }

    fn view(&self) -> View {
        let goal = self.rollout.goal();
        let replaced = |seat: &&Seat| Some(seat.generation) == goal;
        View {
            beside: match &self.replacement {
                None => Beside::Nobody,
                Some(member) if member.is_serving() => Beside::Serving,
                Some(_) => Beside::NotServing,
            },
            next: goal.and_then(|goal| self.next_to_replace(goal)),
            settled: self
                .seats
                .iter()
                .filter(replaced)
                .all(|seat| seat.member().is_some_and(Member::is_serving)),
            failing: self
                .seats
                .iter()
                .filter(replaced)
                .any(|seat| seat.record.failures >= TRIES),
            room: self.has_room(),
            answers: self.replacement.as_ref().map(|canary| self.answers(canary)),
        }
    }

    fn answers(&self, canary: &Member) -> Answers {
        let old = self
            .members()
            .filter(|member| member.generation != canary.generation)
            .map(|member| member.load.since_mark());
        Answers {
            life: canary.life,
            new: canary.load.since_mark(),
            old: old.fold(Share::default(), Share::and),
        }
    }

    /// Slots that the new configuration removes need no new worker; they keep the old one until then.
    fn next_to_replace(&self, goal: Generation) -> Option<Slot> {
        let kept = self.new_size(goal).map_or(usize::MAX, usize::from);
        self.seats
            .iter()
            .take(kept)
            .find(|seat| seat.runs() != goal && !seat.is_held())
            .map(|seat| seat.slot)
    }

    /// The number of slots a generation brings, if its configuration asks for another one than the current's. Otherwise
    /// the number stays what it is, for it may have been scaled by hand.
    fn new_size(&self, generation: Generation) -> Option<u16> {
        let workers = self.policy_of(generation).workers;
        (workers != self.policy().workers).then(|| super::scale::clamp(workers))
    }

    pub(super) fn perform(&mut self, order: Order, effects: &mut Vec<Effect>) {
        match order {
            Order::Start(slot, generation) => {
                self.replacement = Some(self.start_life(slot, generation, effects));
            }
            Order::StartCanary(generation) => {
                let free = self.seats.iter().find(|seat| !seat.is_held());
                let slot = free.map_or(Slot(0), |seat| seat.slot);
                self.replacement = Some(self.start_life(slot, generation, effects));
            }
            Order::Bake => self.bake(effects),
            Order::Probe => self.probe(effects),
            Order::Swap => {
                let undoing = matches!(self.rollout, Rollout::Undoing { .. });
                let purpose = if undoing {
                    Purpose::BackOut
                } else {
                    Purpose::Reload
                };
                self.swap(purpose, effects);
            }
            Order::Undo(job, reason) => self.undo(job, reason, effects),
            Order::Finish(job) => self.finish(job, effects),
            Order::BackOut(job, reason) => {
                self.dismiss_replacement(effects);
                effects.push(Effect::Serve(job.from));
                announce(
                    Announcement::BackedOut {
                        generation: job.target,
                        reason: reason.clone(),
                    },
                    effects,
                );
                self.tell_reloaded(effects);
                self.not_rolled(job, reason, effects);
            }
        }
    }

    fn bake(&mut self, effects: &mut Vec<Effect>) {
        self.everybody(|member| member.load.mark());
        self.say_baking(effects);
        self.probe(effects);
    }

    fn probe(&self, effects: &mut Vec<Effect>) {
        effects.extend(
            self.replacement
                .as_ref()
                .map(|member| Effect::Probe { life: member.life }),
        );
    }

    fn everybody(&mut self, deed: impl Fn(&mut Member)) {
        self.seats
            .iter_mut()
            .filter_map(Seat::member_mut)
            .chain(&mut self.replacement)
            .chain(&mut self.leaving)
            .for_each(deed);
    }

    fn say_baking(&self, effects: &mut Vec<Effect>) {
        if let Some(Member { life, generation, .. }) = self.replacement {
            let bake_time = self.policy_of(generation).bake_time;
            announce(
                Announcement::Baking {
                    life,
                    generation,
                    bake_time,
                },
                effects,
            );
        }
    }

    fn undo(&mut self, job: Job, reason: Failure, effects: &mut Vec<Effect>) {
        announce(
            Announcement::BackingOut {
                generation: job.target,
                reason,
            },
            effects,
        );
        self.dismiss_replacement(effects);
        for index in 0..self.seats.len() {
            if self.seats[index].generation == job.target {
                self.refit(index, job.from);
                self.seats[index].hurry();
            }
        }
    }

    fn finish(&mut self, job: Job, effects: &mut Vec<Effect>) {
        let size = self.new_size(job.target);
        self.current = job.target;
        self.previous = Some(job.from);
        for seat in self.seats.iter_mut().filter(|seat| seat.is_held()) {
            seat.generation = job.target;
        }
        announce(
            Announcement::Reloaded {
                generation: job.target,
                after: self.now.since(job.started),
            },
            effects,
        );
        effects.push(Effect::Serve(job.target));
        self.tell_reloaded(effects);
        self.rolled(job, effects);
        if let Some(size) = size {
            self.resize(size, effects);
        }
    }

    pub(super) fn tell_reloaded(&self, effects: &mut Vec<Effect>) {
        if self.milestones.told_ready && self.mode == Mode::Running {
            effects.push(Effect::Tell(SystemdState::Ready));
        }
    }
}
