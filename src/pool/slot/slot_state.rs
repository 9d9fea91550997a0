//! One slot: empty, filled by one worker, or waiting to be filled again; what ended its lives decides which.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::restart::{End, Record, Sentence};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::effect::Policy;
use crate::pool::worker::pool_worker::{Input, Member, Turn};

/// Who is in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a slot is filled nearly always, and there are at most 1,024"
)]
pub(in crate::pool) enum State {
    /// Nobody; filled as soon as the cluster is not stopping.
    Vacant,
    /// One worker, whose phase says more.
    Filled(Member),
    /// Nobody until then: the last life ended early.
    BackingOff { until: Monotonic },
    /// Nobody until then: the breaker is open.
    Degraded { until: Monotonic },
    /// Nobody until somebody asks for its restart.
    Held,
}

/// What can happen to a slot.
#[derive(Debug)]
pub(in crate::pool) enum Occurrence<'a> {
    /// Something happened to the worker in it.
    Told(Input),
    /// That worker is gone, and this follows for the slot.
    Emptied(Sentence),
    /// A worker takes it.
    Taken(Member),
    /// Nobody shall be in it for now; who was is handed out.
    Cleared(&'a mut Option<Member>),
}

/// One slot with its past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Seat {
    pub(in crate::pool) slot: Slot,
    /// What it is filled with next.
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) record: Record,
    state: State,
    /// Since when nobody, or this one, is in it.
    pub(in crate::pool) since: Monotonic,
    /// Its worker is not recycled before that.
    pub(in crate::pool) spared_until: Monotonic,
}

impl Seat {
    pub(in crate::pool) fn vacant(
        slot: Slot,
        generation: Generation,
        policy: &Policy,
        now: Monotonic,
    ) -> Seat {
        Seat {
            slot,
            generation,
            record: Record::blank(policy),
            state: State::Vacant,
            since: now,
            spared_until: now,
        }
    }

    pub(in crate::pool) fn state(&self) -> &State {
        &self.state
    }

    pub(in crate::pool) fn member(&self) -> Option<&Member> {
        match &self.state {
            State::Filled(member) => Some(member),
            State::Vacant | State::Held | State::BackingOff { .. } | State::Degraded { .. } => None,
        }
    }

    pub(in crate::pool) fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.state {
            State::Filled(member) => Some(member),
            State::Vacant | State::Held | State::BackingOff { .. } | State::Degraded { .. } => None,
        }
    }

    pub(in crate::pool) fn is_filled_by(&self, life: Life) -> bool {
        self.member().is_some_and(|member| member.life == life)
    }

    /// The generation of the worker in it; of the next one when there is none.
    pub(in crate::pool) fn runs(&self) -> Generation {
        self.member().map_or(self.generation, |member| member.generation)
    }

    pub(in crate::pool) fn is_due(&self, now: Monotonic) -> bool {
        match self.state {
            State::Vacant => true,
            State::Filled(_) | State::Held => false,
            State::BackingOff { until } | State::Degraded { until } => until <= now,
        }
    }

    /// When it is filled again.
    pub(in crate::pool) fn filled_at(&self) -> Option<Monotonic> {
        match self.state {
            State::Vacant | State::Filled(_) | State::Held => None,
            State::BackingOff { until } | State::Degraded { until } => Some(until),
        }
    }

    /// One thing happened to it.
    pub(in crate::pool) fn step(&mut self, occurrence: Occurrence<'_>, turn: &mut Turn<'_>) {
        if !matches!(occurrence, Occurrence::Told(_)) {
            self.since = turn.now;
        }
        let state = std::mem::replace(&mut self.state, State::Vacant);
        self.state = match state {
            State::Vacant => self.vacated(State::Vacant, occurrence),
            State::Held => self.vacated(State::Held, occurrence),
            State::Filled(member) => self.filled(member, occurrence, turn),
            State::BackingOff { until } => self.vacated(State::BackingOff { until }, occurrence),
            State::Degraded { until } => self.vacated(State::Degraded { until }, occurrence),
        };
    }

    /// Nobody is in it: nothing can happen to a worker, and whoever comes may sit down.
    fn vacated(&self, state: State, occurrence: Occurrence<'_>) -> State {
        match occurrence {
            Occurrence::Told(_) | Occurrence::Emptied(_) => state,
            Occurrence::Taken(member) => State::Filled(member),
            Occurrence::Cleared(_) => State::Vacant,
        }
    }

    fn filled(&self, mut member: Member, occurrence: Occurrence<'_>, turn: &mut Turn<'_>) -> State {
        match occurrence {
            Occurrence::Told(input) => {
                member.step(input, turn);
                State::Filled(member)
            }
            Occurrence::Emptied(sentence) => self.wait(sentence.wait, turn.now),
            Occurrence::Taken(next) => State::Filled(next),
            Occurrence::Cleared(out) => {
                *out = Some(member);
                State::Vacant
            }
        }
    }

    fn wait(&self, wait: Duration, now: Monotonic) -> State {
        match (wait.is_zero(), self.record.breaker_open) {
            (true, _) => State::Vacant,
            (false, true) => State::Degraded { until: now + wait },
            (false, false) => State::BackingOff { until: now + wait },
        }
    }

    /// The worker in it ended unasked: what follows, by the restart policy.
    pub(in crate::pool) fn judge(
        &mut self,
        end: &End,
        policy: &Policy,
        now: Monotonic,
        random: u64,
    ) -> Option<Sentence> {
        match &self.state {
            State::Filled(member) => Some(self.record.ended(member, end, policy, now, random)),
            State::Vacant | State::Held | State::BackingOff { .. } | State::Degraded { .. } => None,
        }
    }

    /// Its worker was taken out because it leaves by itself.
    pub(in crate::pool) fn left(&mut self, sentence: Sentence, now: Monotonic) {
        self.state = self.wait(sentence.wait, now);
        self.since = now;
    }

    /// What was waited for is not worth it any more: fill it at once.
    pub(in crate::pool) fn hurry(&mut self) {
        match self.state {
            State::Vacant | State::Filled(_) | State::Held => {}
            State::BackingOff { .. } | State::Degraded { .. } => self.state = State::Vacant,
        }
    }

    pub(in crate::pool) fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    /// Nobody shall be in it until somebody asks for it.
    pub(in crate::pool) fn hold(&mut self, now: Monotonic) {
        self.state = State::Held;
        self.since = now;
    }

    /// It is filled like any other again.
    pub(in crate::pool) fn unhold(&mut self) {
        if self.is_held() {
            self.state = State::Vacant;
        }
    }
}
