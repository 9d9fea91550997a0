//! State × Event → (State, Effect), every pair written down. Three outcomes of a command: done, refused, unknown; and the fourth
//! thing a participant may say, that the saga has another owner by now.

use std::time::Duration;

use super::budget_used::Spent;
use super::definition::{Command, Definition, Phase, RECORD_RETRY, STALL_RETRY, Step};
use crate::base::time::Monotonic;

/// Where a saga stands in the mind of its owner. Only the start, the two ends and `Parked` are ever stored; all between is
/// found again by asking the participants. `R` is what a refusal says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State<R> {
    /// A step was commanded.
    Doing(Try),
    /// That command's outcome stayed unknown past its budget: what settles the pivot was commanded.
    Settling(Try, Command),
    /// The steps from here down are being undone, because of the cause.
    Undoing(Try, Cause<R>),
    /// The order's own last record is being written.
    Recording(Verdict<R>, Try),
    /// The record stands.
    Ended(Verdict<R>),
    /// Past its budget or contradicted: left as it is, visible, for a person or the next start.
    Parked(Parking<R>),
    /// Another life owns the saga; this one writes nothing more for it.
    Lost,
}

/// A command under way: of which step, since when, and how many of its outcomes were unknown. Time that it could not even be
/// tried in is not counted: `since` moves on by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Try {
    /// Index into the definition; for a record, the number of steps.
    pub step: usize,
    /// When it was first commanded, and later by as long as it could not be tried.
    pub since: Monotonic,
    /// When its last outcome came.
    pub last: Monotonic,
    /// What earlier owners spent on it.
    pub earlier: Duration,
    /// How many outcomes were unknown.
    pub unknown: u32,
    /// How many times in a row it could not be tried.
    pub stalled: u32,
}

/// Why an order is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause<R> {
    /// A participant said no.
    Refused(R),
    /// A step stayed unknown past its budget and was then seen not to have happened.
    GaveUp(Command),
    /// A person gave the order up.
    TakenBack,
}

/// How a saga ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict<R> {
    /// Every step was done.
    Confirmed,
    /// Every step is undone.
    Rejected(Cause<R>),
}

/// Why a saga stands still.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Parking<R> {
    /// The outcome of this command stayed unknown past the budget.
    Unknown(Command),
    /// This command must not be refused where it was, and was.
    Contradicted(Command, R),
}

/// What a participant (or the orders' own store) answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<R> {
    /// It is done, now or before.
    Done,
    /// It is not done and never will be.
    Refused(R),
    /// Nobody knows. `random` is uniform over `u64`, for the wait before the next try.
    Unknown {
        /// For the jitter.
        random: u64,
    },
    /// It was not done, because a participant's own store takes no writes for now (a full disk). Spends no budget: it is tried
    /// again for as long as that lasts.
    Stalled {
        /// For the jitter.
        random: u64,
    },
    /// A higher claim was seen.
    Fenced,
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<R> {
    /// Send this after that wait, and bring back its outcome.
    Send(Command, Duration),
    /// Write the order's last record after that wait, and bring back the outcome.
    Record(Verdict<R>, Duration),
    /// Write down that it is parked.
    Park(Parking<R>),
    /// Nothing: it is over for this owner.
    Rest,
}

/// A pair the table does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saga in state {state:?} cannot take {event:?}")]
pub struct Illegal<R: std::fmt::Debug> {
    /// The state.
    pub state: State<R>,
    /// What it was given.
    pub event: Event<R>,
}

type Next<R> = Result<(State<R>, Effect<R>), Illegal<R>>;

impl<R: Clone + std::fmt::Debug> State<R> {
    /// The top of the table: for a new saga, and for one that is taken over.
    #[must_use]
    pub fn begin(definition: &Definition, now: Monotonic) -> (State<R>, Effect<R>) {
        forward(definition, 0, now)
    }

    /// The other way into the table: a person gave the order up, so everything is undone, the latest first, whether it was done
    /// or not. Whoever takes such a saga over begins here too.
    #[must_use]
    pub fn take_back(definition: &Definition, now: Monotonic) -> (State<R>, Effect<R>) {
        back(definition, definition.len(), Cause::TakenBack, now)
    }

    /// How much longer the command under way may stay unknown; `None` when nothing is under way, or for ever.
    #[must_use]
    pub fn patience(&self, definition: &Definition, now: Monotonic) -> Option<Duration> {
        match self {
            State::Doing(at) | State::Settling(at, _) | State::Undoing(at, _) => {
                let step = definition.get(at.step)?;
                Some(step.budget.saturating_sub(at.spent(now)))
            }
            State::Recording(..) | State::Ended(_) | State::Parked(_) | State::Lost => None,
        }
    }

    /// The command under way, and how long this owner has spent on it: what the next owner needs to know. `None` when nothing with
    /// a budget is under way.
    #[must_use]
    pub fn spent(&self, definition: &Definition, now: Monotonic) -> Option<(Command, Duration)> {
        match self {
            State::Doing(at) | State::Settling(at, _) | State::Undoing(at, _) => {
                Some((self.command(definition)?, at.own(now)))
            }
            State::Recording(..) | State::Ended(_) | State::Parked(_) | State::Lost => None,
        }
    }

    /// The same state, knowing what earlier owners spent on the command under way. It is tried at least once more whatever is left.
    #[must_use]
    pub fn after(mut self, definition: &Definition, earlier: &Spent) -> State<R> {
        let spent = self.command(definition).map(|command| earlier.on(command));
        if let State::Doing(at) | State::Settling(at, _) | State::Undoing(at, _) = &mut self {
            at.earlier = spent.unwrap_or_default();
        }
        self
    }

    fn command(&self, definition: &Definition) -> Option<Command> {
        match self {
            State::Doing(at) => Some(definition.get(at.step)?.command),
            State::Settling(at, _) => Some(settles(definition.get(at.step)?)),
            State::Undoing(at, _) => Some(undoes(definition.get(at.step)?)),
            State::Recording(..) | State::Ended(_) | State::Parked(_) | State::Lost => None,
        }
    }

    /// What follows from `event`.
    ///
    /// # Errors
    /// [`Illegal`] when nothing can follow: an event for a saga that is over, or a record that contradicts another.
    pub fn on(self, definition: &Definition, now: Monotonic, event: Event<R>) -> Next<R> {
        match self {
            State::Doing(at) => Ok(doing(definition, at, now, event)),
            State::Settling(at, why) => Ok(settling(definition, at, why, now, event)),
            State::Undoing(at, cause) => Ok(undoing(definition, at, cause, now, event)),
            State::Recording(verdict, at) => recording(verdict, at, event),
            State::Ended(_) | State::Parked(_) | State::Lost => Err(Illegal { state: self, event }),
        }
    }
}

fn doing<R: Clone>(
    definition: &Definition,
    at: Try,
    now: Monotonic,
    event: Event<R>,
) -> (State<R>, Effect<R>) {
    let step = &definition[at.step];
    match event {
        Event::Done => forward(definition, at.step + 1, now),
        Event::Refused(refusal) => match step.phase {
            Phase::Compensable | Phase::Pivot => back(definition, at.step, Cause::Refused(refusal), now),
            Phase::Retriable => park(Parking::Contradicted(step.command, refusal)),
        },
        Event::Unknown { random } => match again(step, at, now, random) {
            Some((at, wait)) => (State::Doing(at), Effect::Send(step.command, wait)),
            None => settle(definition, at.step, now),
        },
        Event::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (State::Doing(at), Effect::Send(step.command, wait))
        }
        Event::Fenced => (State::Lost, Effect::Rest),
    }
}

fn settling<R: Clone>(
    definition: &Definition,
    at: Try,
    why: Command,
    now: Monotonic,
    event: Event<R>,
) -> (State<R>, Effect<R>) {
    let pivot = &definition[at.step];
    let command = settles(pivot);
    match event {
        Event::Done => back(definition, at.step, Cause::GaveUp(why), now),
        Event::Refused(_it_had_happened) => forward(definition, at.step + 1, now),
        Event::Unknown { random } => match again(pivot, at, now, random) {
            Some((at, wait)) => (State::Settling(at, why), Effect::Send(command, wait)),
            None => park(Parking::Unknown(command)),
        },
        Event::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (State::Settling(at, why), Effect::Send(command, wait))
        }
        Event::Fenced => (State::Lost, Effect::Rest),
    }
}

fn undoing<R: Clone>(
    definition: &Definition,
    at: Try,
    cause: Cause<R>,
    now: Monotonic,
    event: Event<R>,
) -> (State<R>, Effect<R>) {
    let step = &definition[at.step];
    let compensation = undoes(step);
    match event {
        Event::Done => back(definition, at.step, cause, now),
        Event::Refused(refusal) => park(Parking::Contradicted(compensation, refusal)),
        Event::Unknown { random } => match again(step, at, now, random) {
            Some((at, wait)) => (State::Undoing(at, cause), Effect::Send(compensation, wait)),
            None => park(Parking::Unknown(compensation)),
        },
        Event::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (State::Undoing(at, cause), Effect::Send(compensation, wait))
        }
        Event::Fenced => (State::Lost, Effect::Rest),
    }
}

fn recording<R: Clone + std::fmt::Debug>(verdict: Verdict<R>, at: Try, event: Event<R>) -> Next<R> {
    match event {
        Event::Done => Ok((State::Ended(verdict), Effect::Rest)),
        Event::Refused(_) => Err(Illegal {
            state: State::Recording(verdict, at),
            event,
        }),
        Event::Unknown { random } | Event::Stalled { random } => {
            let at = Try {
                unknown: at.unknown.saturating_add(1),
                ..at
            };
            let wait = RECORD_RETRY.wait(at.unknown, random);
            Ok((
                State::Recording(verdict.clone(), at),
                Effect::Record(verdict, wait),
            ))
        }
        Event::Fenced => Ok((State::Lost, Effect::Rest)),
    }
}

fn settles(pivot: &Step) -> Command {
    pivot.settled_by.unwrap_or(pivot.command)
}

fn undoes(step: &Step) -> Command {
    step.compensation.unwrap_or(step.command)
}

/// On to `step`, or to the record when there is none left.
fn forward<R: Clone>(definition: &Definition, step: usize, now: Monotonic) -> (State<R>, Effect<R>) {
    match definition.get(step) {
        Some(next) => (
            State::Doing(Try::first(step, now)),
            Effect::Send(next.command, Duration::ZERO),
        ),
        None => record(definition, Verdict::Confirmed, now),
    }
}

/// Undoes what lies before `step`, the latest first; then the record.
fn back<R: Clone>(
    definition: &Definition,
    step: usize,
    cause: Cause<R>,
    now: Monotonic,
) -> (State<R>, Effect<R>) {
    let undo = |index: usize| definition[index].compensation.map(|command| (index, command));
    match (0..step).rev().find_map(undo) {
        Some((index, command)) => (
            State::Undoing(Try::first(index, now), cause),
            Effect::Send(command, Duration::ZERO),
        ),
        None => record(definition, Verdict::Rejected(cause), now),
    }
}

/// Past the budget of `step`: asks whether the pivot happened, or parks when the pivot lies behind.
fn settle<R: Clone>(definition: &Definition, step: usize, now: Monotonic) -> (State<R>, Effect<R>) {
    let why = definition[step].command;
    let settles = |index: usize| definition[index].settled_by.map(|command| (index, command));
    match (step..definition.len()).find_map(settles) {
        Some((pivot, command)) => (
            State::Settling(Try::first(pivot, now), why),
            Effect::Send(command, Duration::ZERO),
        ),
        None => park(Parking::Unknown(why)),
    }
}

fn record<R: Clone>(definition: &Definition, verdict: Verdict<R>, now: Monotonic) -> (State<R>, Effect<R>) {
    let at = Try::first(definition.len(), now);
    (
        State::Recording(verdict.clone(), at),
        Effect::Record(verdict, Duration::ZERO),
    )
}

fn park<R: Clone>(parking: Parking<R>) -> (State<R>, Effect<R>) {
    (State::Parked(parking.clone()), Effect::Park(parking))
}

/// The next try of a command whose outcome was unknown, and the wait before it; `None` past the budget.
fn again(step: &Step, at: Try, now: Monotonic, random: u64) -> Option<(Try, Duration)> {
    let at = Try {
        unknown: at.unknown.saturating_add(1),
        last: now,
        stalled: 0,
        ..at
    };
    (at.spent(now) < step.budget).then(|| (at, step.retry.wait(at.unknown, random)))
}

/// The next try of a command that could not be tried, and the wait before it. The time since the last outcome is not its own.
fn stalled(at: Try, now: Monotonic, random: u64) -> (Try, Duration) {
    let at = Try {
        since: at.since + now.since(at.last),
        last: now,
        stalled: at.stalled.saturating_add(1),
        ..at
    };
    (at, STALL_RETRY.wait(at.stalled, random))
}

impl Try {
    fn first(step: usize, since: Monotonic) -> Try {
        Try {
            step,
            since,
            last: since,
            earlier: Duration::ZERO,
            unknown: 0,
            stalled: 0,
        }
    }

    /// By this owner. While it cannot be tried, nothing is added.
    fn own(self, now: Monotonic) -> Duration {
        let until = if self.stalled > 0 { self.last } else { now };
        until.since(self.since)
    }

    fn spent(self, now: Monotonic) -> Duration {
        self.earlier.saturating_add(now.since(self.since))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
