//! The saga's state machine: state and event give the next state and one effect, and every pair is written down. A command is
//! done, refused, unknown, or stalled (it could not be tried); or the participant says that the saga has a new owner.

use std::time::Duration;

use super::budget_used::BudgetUsed;
use super::definition::{RECORD_RETRY, STALL_RETRY, SagaCommand, SagaDefinition, SagaStep, StepPhase};
use crate::base::time::Monotonic;

/// How far a saga has come, as its owner knows it. Only the beginning, the two ends and `Parked` are stored; a new owner finds
/// the states between them again by asking the participants. `R` is the type of a participant's refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SagaState<R> {
    /// The command of a step was sent.
    Doing(Attempt),
    /// The outcome of this command stayed unknown past its budget, and the command that settles the pivot was sent.
    Settling(Attempt, SagaCommand),
    /// This step and those before it are being undone, for this cause.
    Undoing(Attempt, RejectionCause<R>),
    /// The last record of the order is being written.
    Recording(SagaVerdict<R>, Attempt),
    /// The last record of the order is on disk.
    Ended(SagaVerdict<R>),
    /// Stopped, because a budget was used up or a participant contradicted the saga. A person or the next start goes on with it.
    Parked(ParkReason<R>),
    /// Another life owns the saga now; this one writes nothing more for it.
    Lost,
}

/// A command under way. Time in which the command could not be tried is not counted: `since` is moved forward by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The step's index in the definition; the number of steps when the last record is being written.
    pub step: usize,
    /// When the command was first sent, plus the time in which it could not be tried.
    pub since: Monotonic,
    /// When the command's last outcome came.
    pub last: Monotonic,
    /// How much of the command's budget earlier owners used.
    pub earlier: Duration,
    /// How many outcomes of the command were unknown.
    pub unknown: u32,
    /// How many times in a row the command could not be tried.
    pub stalled: u32,
}

/// Why an order is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RejectionCause<R> {
    /// A participant refused a step.
    Refused(R),
    /// A step stayed unknown past its budget, and then it was certain that it had not happened.
    GaveUp(SagaCommand),
    /// A person gave up the order.
    TakenBack,
}

/// How a saga ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SagaVerdict<R> {
    /// Every step was done.
    Confirmed,
    /// Every step is undone.
    Rejected(RejectionCause<R>),
}

/// Why a saga is parked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ParkReason<R> {
    /// The outcome of this command stayed unknown past its budget.
    Unknown(SagaCommand),
    /// This command was refused where the definition allows no refusal.
    Contradicted(SagaCommand, R),
}

/// What a participant answered to a command, or the orders' own store to the last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaEvent<R> {
    /// The command is done, now or before.
    Done,
    /// The command is not done and never will be.
    Refused(R),
    /// Nobody knows whether the command was done.
    Unknown {
        /// Uniform over `u64`; the jitter of the wait before the next try is made from it.
        random: u64,
    },
    /// The command was not done, because the participant's own store takes no writes for now (a full disk). It uses no budget
    /// and is tried again for as long as that lasts.
    Stalled {
        /// Uniform over `u64`; the jitter of the wait before the next try is made from it.
        random: u64,
    },
    /// The participant has seen a higher claim, or a fence.
    Fenced,
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SagaEffect<R> {
    /// Send the command after the wait, and return its outcome as an event.
    Send(SagaCommand, Duration),
    /// Write the last record of the order after the wait, and return the outcome as an event.
    Record(SagaVerdict<R>, Duration),
    /// Record that the order is parked.
    Park(ParkReason<R>),
    /// Do nothing more: the saga is over for this owner.
    Stop,
}

/// A state and an event that cannot meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saga in state {state:?} cannot take {event:?}")]
pub struct IllegalTransition<R: std::fmt::Debug> {
    /// The state that the saga was in.
    pub state: SagaState<R>,
    /// The event that came.
    pub event: SagaEvent<R>,
}

type Transition<R> = Result<(SagaState<R>, SagaEffect<R>), IllegalTransition<R>>;

impl<R: Clone + std::fmt::Debug> SagaState<R> {
    /// The first step: for a new saga, and for one that has a new owner.
    #[must_use]
    pub fn begin(definition: &SagaDefinition, now: Monotonic) -> (SagaState<R>, SagaEffect<R>) {
        forward(definition, 0, now)
    }

    /// The beginning of a saga whose order a person gave up: every step is undone, the last one first, whether it was done or not.
    /// A new owner of such a saga begins here, too.
    #[must_use]
    pub fn begin_undoing(definition: &SagaDefinition, now: Monotonic) -> (SagaState<R>, SagaEffect<R>) {
        back(definition, definition.len(), RejectionCause::TakenBack, now)
    }

    /// How much longer the command under way may stay unknown; `None` when no command with a budget is under way.
    #[must_use]
    pub fn budget_left(&self, definition: &SagaDefinition, now: Monotonic) -> Option<Duration> {
        match self {
            SagaState::Doing(at) | SagaState::Settling(at, _) | SagaState::Undoing(at, _) => {
                let step = definition.get(at.step)?;
                Some(step.budget.saturating_sub(at.used(now)))
            }
            SagaState::Recording(..) | SagaState::Ended(_) | SagaState::Parked(_) | SagaState::Lost => None,
        }
    }

    /// The command under way and how much of its budget this owner has used, for the next owner; `None` when no command with a
    /// budget is under way.
    #[must_use]
    pub fn budget_used(
        &self,
        definition: &SagaDefinition,
        now: Monotonic,
    ) -> Option<(SagaCommand, Duration)> {
        match self {
            SagaState::Doing(at) | SagaState::Settling(at, _) | SagaState::Undoing(at, _) => {
                Some((self.command(definition)?, at.used_by_this_owner(now)))
            }
            SagaState::Recording(..) | SagaState::Ended(_) | SagaState::Parked(_) | SagaState::Lost => None,
        }
    }

    /// The same state, with what earlier owners used of the budget of the command under way. The command is tried at least once
    /// more, however little is left.
    #[must_use]
    pub fn with_earlier_use(mut self, definition: &SagaDefinition, earlier: &BudgetUsed) -> SagaState<R> {
        let used = self.command(definition).map(|command| earlier.on(command));
        if let SagaState::Doing(at) | SagaState::Settling(at, _) | SagaState::Undoing(at, _) = &mut self {
            at.earlier = used.unwrap_or_default();
        }
        self
    }

    fn command(&self, definition: &SagaDefinition) -> Option<SagaCommand> {
        match self {
            SagaState::Doing(at) => Some(definition.get(at.step)?.command),
            SagaState::Settling(at, _) => Some(settles(definition.get(at.step)?)),
            SagaState::Undoing(at, _) => Some(undoes(definition.get(at.step)?)),
            SagaState::Recording(..) | SagaState::Ended(_) | SagaState::Parked(_) | SagaState::Lost => None,
        }
    }

    /// The next state and the one thing to do after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] for an event of a saga that is over, and for a last record that contradicts an earlier one.
    pub fn on(self, definition: &SagaDefinition, now: Monotonic, event: SagaEvent<R>) -> Transition<R> {
        match self {
            SagaState::Doing(at) => Ok(doing(definition, at, now, event)),
            SagaState::Settling(at, why) => Ok(settling(definition, at, why, now, event)),
            SagaState::Undoing(at, cause) => Ok(undoing(definition, at, cause, now, event)),
            SagaState::Recording(verdict, at) => recording(verdict, at, event),
            SagaState::Ended(_) | SagaState::Parked(_) | SagaState::Lost => {
                Err(IllegalTransition { state: self, event })
            }
        }
    }
}

fn doing<R: Clone>(
    definition: &SagaDefinition,
    at: Attempt,
    now: Monotonic,
    event: SagaEvent<R>,
) -> (SagaState<R>, SagaEffect<R>) {
    let step = &definition[at.step];
    match event {
        SagaEvent::Done => forward(definition, at.step + 1, now),
        SagaEvent::Refused(refusal) => match step.phase {
            StepPhase::Compensable | StepPhase::Pivot => {
                back(definition, at.step, RejectionCause::Refused(refusal), now)
            }
            StepPhase::Retriable => park(ParkReason::Contradicted(step.command, refusal)),
        },
        SagaEvent::Unknown { random } => match again(step, at, now, random) {
            Some((at, wait)) => (SagaState::Doing(at), SagaEffect::Send(step.command, wait)),
            None => settle(definition, at.step, now),
        },
        SagaEvent::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (SagaState::Doing(at), SagaEffect::Send(step.command, wait))
        }
        SagaEvent::Fenced => (SagaState::Lost, SagaEffect::Stop),
    }
}

fn settling<R: Clone>(
    definition: &SagaDefinition,
    at: Attempt,
    why: SagaCommand,
    now: Monotonic,
    event: SagaEvent<R>,
) -> (SagaState<R>, SagaEffect<R>) {
    let pivot = &definition[at.step];
    let command = settles(pivot);
    match event {
        SagaEvent::Done => back(definition, at.step, RejectionCause::GaveUp(why), now),
        SagaEvent::Refused(_it_had_happened) => forward(definition, at.step + 1, now),
        SagaEvent::Unknown { random } => match again(pivot, at, now, random) {
            Some((at, wait)) => (SagaState::Settling(at, why), SagaEffect::Send(command, wait)),
            None => park(ParkReason::Unknown(command)),
        },
        SagaEvent::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (SagaState::Settling(at, why), SagaEffect::Send(command, wait))
        }
        SagaEvent::Fenced => (SagaState::Lost, SagaEffect::Stop),
    }
}

fn undoing<R: Clone>(
    definition: &SagaDefinition,
    at: Attempt,
    cause: RejectionCause<R>,
    now: Monotonic,
    event: SagaEvent<R>,
) -> (SagaState<R>, SagaEffect<R>) {
    let step = &definition[at.step];
    let compensation = undoes(step);
    match event {
        SagaEvent::Done => back(definition, at.step, cause, now),
        SagaEvent::Refused(refusal) => park(ParkReason::Contradicted(compensation, refusal)),
        SagaEvent::Unknown { random } => match again(step, at, now, random) {
            Some((at, wait)) => (
                SagaState::Undoing(at, cause),
                SagaEffect::Send(compensation, wait),
            ),
            None => park(ParkReason::Unknown(compensation)),
        },
        SagaEvent::Stalled { random } => {
            let (at, wait) = stalled(at, now, random);
            (
                SagaState::Undoing(at, cause),
                SagaEffect::Send(compensation, wait),
            )
        }
        SagaEvent::Fenced => (SagaState::Lost, SagaEffect::Stop),
    }
}

fn recording<R: Clone + std::fmt::Debug>(
    verdict: SagaVerdict<R>,
    at: Attempt,
    event: SagaEvent<R>,
) -> Transition<R> {
    match event {
        SagaEvent::Done => Ok((SagaState::Ended(verdict), SagaEffect::Stop)),
        SagaEvent::Refused(_) => Err(IllegalTransition {
            state: SagaState::Recording(verdict, at),
            event,
        }),
        SagaEvent::Unknown { random } | SagaEvent::Stalled { random } => {
            let at = Attempt {
                unknown: at.unknown.saturating_add(1),
                ..at
            };
            let wait = RECORD_RETRY.wait(at.unknown, random);
            Ok((
                SagaState::Recording(verdict.clone(), at),
                SagaEffect::Record(verdict, wait),
            ))
        }
        SagaEvent::Fenced => Ok((SagaState::Lost, SagaEffect::Stop)),
    }
}

fn settles(pivot: &SagaStep) -> SagaCommand {
    pivot.settled_by.unwrap_or(pivot.command)
}

fn undoes(step: &SagaStep) -> SagaCommand {
    step.compensation.unwrap_or(step.command)
}

/// Begins `step`, or the last record when there is no such step.
fn forward<R: Clone>(
    definition: &SagaDefinition,
    step: usize,
    now: Monotonic,
) -> (SagaState<R>, SagaEffect<R>) {
    match definition.get(step) {
        Some(next) => (
            SagaState::Doing(Attempt::first(step, now)),
            SagaEffect::Send(next.command, Duration::ZERO),
        ),
        None => record(definition, SagaVerdict::Confirmed, now),
    }
}

/// Begins to undo the steps before `step`, the last one first; begins the last record when there is none.
fn back<R: Clone>(
    definition: &SagaDefinition,
    step: usize,
    cause: RejectionCause<R>,
    now: Monotonic,
) -> (SagaState<R>, SagaEffect<R>) {
    let undo = |index: usize| definition[index].compensation.map(|command| (index, command));
    match (0..step).rev().find_map(undo) {
        Some((index, command)) => (
            SagaState::Undoing(Attempt::first(index, now), cause),
            SagaEffect::Send(command, Duration::ZERO),
        ),
        None => record(definition, SagaVerdict::Rejected(cause), now),
    }
}

/// After the budget of `step`: asks whether the pivot happened, or parks the saga when the pivot is done.
fn settle<R: Clone>(
    definition: &SagaDefinition,
    step: usize,
    now: Monotonic,
) -> (SagaState<R>, SagaEffect<R>) {
    let why = definition[step].command;
    let settles = |index: usize| definition[index].settled_by.map(|command| (index, command));
    match (step..definition.len()).find_map(settles) {
        Some((pivot, command)) => (
            SagaState::Settling(Attempt::first(pivot, now), why),
            SagaEffect::Send(command, Duration::ZERO),
        ),
        None => park(ParkReason::Unknown(why)),
    }
}

fn record<R: Clone>(
    definition: &SagaDefinition,
    verdict: SagaVerdict<R>,
    now: Monotonic,
) -> (SagaState<R>, SagaEffect<R>) {
    let at = Attempt::first(definition.len(), now);
    (
        SagaState::Recording(verdict.clone(), at),
        SagaEffect::Record(verdict, Duration::ZERO),
    )
}

fn park<R: Clone>(parking: ParkReason<R>) -> (SagaState<R>, SagaEffect<R>) {
    (SagaState::Parked(parking.clone()), SagaEffect::Park(parking))
}

/// The next try of a command whose outcome was unknown, and the wait before it; `None` when the budget is used up.
fn again(step: &SagaStep, at: Attempt, now: Monotonic, random: u64) -> Option<(Attempt, Duration)> {
    let at = Attempt {
        unknown: at.unknown.saturating_add(1),
        last: now,
        stalled: 0,
        ..at
    };
    (at.used(now) < step.budget).then(|| (at, step.retry.wait(at.unknown, random)))
}

/// The next try of a command that could not be tried, and the wait before it. The time since the last outcome does not count.
fn stalled(at: Attempt, now: Monotonic, random: u64) -> (Attempt, Duration) {
    let at = Attempt {
        since: at.since + now.since(at.last),
        last: now,
        stalled: at.stalled.saturating_add(1),
        ..at
    };
    (at, STALL_RETRY.wait(at.stalled, random))
}

impl Attempt {
    fn first(step: usize, since: Monotonic) -> Attempt {
        Attempt {
            step,
            since,
            last: since,
            earlier: Duration::ZERO,
            unknown: 0,
            stalled: 0,
        }
    }

    /// How much of the budget this owner has used. Nothing is added while the command cannot be tried.
    fn used_by_this_owner(self, now: Monotonic) -> Duration {
        let until = if self.stalled > 0 { self.last } else { now };
        until.since(self.since)
    }

    /// How much of the budget all owners have used.
    fn used(self, now: Monotonic) -> Duration {
        self.earlier.saturating_add(now.since(self.since))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
