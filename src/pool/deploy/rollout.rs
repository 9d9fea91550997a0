//! A reload as a transaction: which step follows. The rollout is shown events and gives one step at a time;
//! it holds no worker.
//!
//! Load beside the old generation → one canary beside the worker of the lowest slot → ready → bake → swap →
//! the other slots one at a time, new before old. Until the canary has baked the old generation was never
//! touched, and anything that goes wrong ends the rollout there. Later a slot gets [`TRIES`] lives to become
//! ready; if none does, or a replaced slot keeps dying, the replaced slots go back to the old generation the
//! same way, new before old, so that capacity never falls below the number of slots.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canary::{CanaryAnswers, ReadinessProbe};
use super::context::RolloutContext;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::verdict::Failure;

/// How many lives in a row may fail in one slot, after the canary baked, before the rollout is undone.
pub(in crate::pool) const TRIES: u32 = 3;

/// What is rolled out over what, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct GenerationChange {
    pub(in crate::pool) target: Generation,
    pub(in crate::pool) from: Generation,
    pub(in crate::pool) started: Monotonic,
}

/// How often replacements of the next slot have failed in a row, and when another one may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Retry {
    tries: u32,
    at: Monotonic,
}

impl Retry {
    fn none(now: Monotonic) -> Retry {
        Retry { tries: 0, at: now }
    }

    fn after_failure(self, context: RolloutContext<'_>) -> Retry {
        let tries = self.tries.saturating_add(1);
        let wait = context.policy.backoff.wait(tries, context.random);
        Retry {
            tries,
            at: context.now + wait,
        }
    }
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum Rollout {
    /// The configuration is read and the binary opened.
    Loading(GenerationChange),
    /// The canary boots.
    Booting(GenerationChange),
    /// The canary serves and is watched.
    Baking {
        change: GenerationChange,
        until: Monotonic,
        probe: ReadinessProbe,
    },
    /// The other slots follow, one at a time.
    Rolling { change: GenerationChange, retry: Retry },
    /// The replaced slots go back to the old generation.
    Undoing {
        change: GenerationChange,
        reason: Failure,
        retry: Retry,
    },
}

/// The replacement of the rollout, as far as the rollout cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum ReplacementState {
    /// There is none.
    None,
    /// It boots, or it was ready and is late.
    NotServing,
    /// It is ready and beats.
    Serving,
}

/// The pool as a rollout sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct RolloutView {
    pub(in crate::pool) replacement: ReplacementState,
    /// The lowest slot that does not run what it should.
    pub(in crate::pool) next: Option<Slot>,
    /// Whether every slot that was replaced has a worker that serves.
    pub(in crate::pool) settled: bool,
    /// Whether a slot that was replaced keeps dying.
    pub(in crate::pool) failing: bool,
    /// Whether one more worker may drain.
    pub(in crate::pool) room: bool,
    /// The answers of the replacement and of the old generation, while there is a replacement.
    pub(in crate::pool) answers: Option<CanaryAnswers>,
}

/// What can happen to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum RolloutEvent {
    /// The new generation was loaded, or could not be.
    Loaded(Result<(), Failure>),
    /// The canary's own readiness answered.
    Probed(Life, Result<(), String>),
    /// The replacement is dead, or leaves by itself.
    Lost(Failure),
    /// The cluster stops.
    Stopped,
    /// The rollout looks at the pool, after every batch of events.
    Looked(RolloutView),
}

/// What a rollout wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum RolloutStep {
    /// Start the first worker of that generation beside some slot's own.
    StartCanary(Generation),
    /// Start a worker of that generation beside that slot's own.
    Start(Slot, Generation),
    /// Say that the canary bakes, count its answers from here, and ask for its readiness.
    Bake,
    /// Ask for the canary's readiness again.
    Probe,
    /// The replacement takes over its slot; the slot's former worker drains.
    Swap,
    /// Every slot is to be filled with the old generation again; the replacement goes.
    Undo(GenerationChange, Failure),
}

/// What came of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Progress {
    /// The rollout goes on, and this is to be done.
    Continues(Rollout, Option<RolloutStep>),
    /// Every slot runs the new generation.
    Finished,
    /// The old generation is whole; the new one is given up.
    BackedOut(Failure),
}

impl Rollout {
    pub(in crate::pool) fn change(&self) -> GenerationChange {
        match self {
            Rollout::Loading(change)
            | Rollout::Booting(change)
            | Rollout::Baking { change, .. }
            | Rollout::Rolling { change, .. }
            | Rollout::Undoing { change, .. } => *change,
        }
    }

    /// What an empty slot that was not replaced and a slot that is added get. `None`: the current generation.
    pub(in crate::pool) fn goal(&self) -> Option<Generation> {
        match self {
            Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Baking { .. } => None,
            Rollout::Rolling { change, .. } => Some(change.target),
            Rollout::Undoing { change, .. } => Some(change.from),
        }
    }

    /// When time alone changes something.
    pub(in crate::pool) fn deadlines(&self) -> impl Iterator<Item = Monotonic> + use<> {
        let due = match self {
            Rollout::Loading(_) | Rollout::Booting(_) => [None, None],
            Rollout::Baking { until, probe, .. } => [Some(*until), probe.deadline()],
            Rollout::Rolling { retry, .. } | Rollout::Undoing { retry, .. } => [Some(retry.at), None],
        };
        due.into_iter().flatten()
    }

    /// One event: where the rollout stands now, and what to do about it.
    pub(in crate::pool) fn step(self, event: RolloutEvent, context: RolloutContext<'_>) -> Progress {
        match self {
            Rollout::Loading(change) => Self::loading(change, event),
            Rollout::Booting(change) => Self::booting(change, event, context),
            Rollout::Baking { change, until, probe } => Self::baking(change, until, probe, event, context),
            Rollout::Rolling { change, retry } => Self::rolling(change, retry, event, context),
            Rollout::Undoing {
                change,
                reason,
                retry,
            } => Self::undoing(change, reason, retry, &event, context),
        }
    }

    fn loading(change: GenerationChange, event: RolloutEvent) -> Progress {
        match event {
            RolloutEvent::Loaded(Ok(())) => {
                let start = RolloutStep::StartCanary(change.target);
                Progress::Continues(Rollout::Booting(change), Some(start))
            }
            RolloutEvent::Loaded(Err(reason)) => Progress::BackedOut(reason),
            RolloutEvent::Stopped => Progress::BackedOut(Failure::Stopped),
            RolloutEvent::Probed(..) | RolloutEvent::Lost(_) | RolloutEvent::Looked(_) => {
                Progress::Continues(Rollout::Loading(change), None)
            }
        }
    }

    fn booting(change: GenerationChange, event: RolloutEvent, context: RolloutContext<'_>) -> Progress {
        match event {
            RolloutEvent::Lost(reason) => Progress::BackedOut(reason),
            RolloutEvent::Stopped => Progress::BackedOut(Failure::Stopped),
            RolloutEvent::Looked(RolloutView {
                replacement: ReplacementState::Serving,
                ..
            }) => {
                let until = context.now + context.policy.bake_time;
                let probe = ReadinessProbe::asked(context);
                Progress::Continues(Rollout::Baking { change, until, probe }, Some(RolloutStep::Bake))
            }
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) | RolloutEvent::Looked(_) => {
                Progress::Continues(Rollout::Booting(change), None)
            }
        }
    }

    /// The canary takes over when its time is up, its own readiness has held, and one more worker may drain.
    fn baking(
        change: GenerationChange,
        until: Monotonic,
        probe: ReadinessProbe,
        event: RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Progress {
        match event {
            RolloutEvent::Lost(reason) => Progress::BackedOut(reason),
            RolloutEvent::Stopped => Progress::BackedOut(Failure::Stopped),
            RolloutEvent::Probed(life, verdict) => match probe.answered(verdict, until, context) {
                Ok(probe) => Progress::Continues(Rollout::Baking { change, until, probe }, None),
                Err(reason) => Progress::BackedOut(Failure::ReadinessFailed { life, reason }),
            },
            RolloutEvent::Looked(RolloutView {
                answers: Some(answers),
                ..
            }) if answers.are_worse() => {
                let CanaryAnswers { life, new, old } = answers;
                Progress::BackedOut(Failure::AnswersWorse { life, new, old })
            }
            RolloutEvent::Looked(view) => Self::look_at_canary(change, until, probe, view, context),
            RolloutEvent::Loaded(_) => Progress::Continues(Rollout::Baking { change, until, probe }, None),
        }
    }

    fn look_at_canary(
        change: GenerationChange,
        until: Monotonic,
        probe: ReadinessProbe,
        view: RolloutView,
        context: RolloutContext<'_>,
    ) -> Progress {
        match (&probe, view.answers) {
            (ReadinessProbe::Asked { deadline }, Some(CanaryAnswers { life, .. }))
                if *deadline <= context.now =>
            {
                let reason = "no answer within ready_timeout".to_owned();
                Progress::BackedOut(Failure::ReadinessFailed { life, reason })
            }
            (ReadinessProbe::Denied { again_at, .. }, _) if *again_at <= context.now => {
                let probe = ReadinessProbe::asked(context);
                Progress::Continues(Rollout::Baking { change, until, probe }, Some(RolloutStep::Probe))
            }
            (ReadinessProbe::Ready, _)
                if view.replacement == ReplacementState::Serving && view.room && until <= context.now =>
            {
                let retry = Retry::none(context.now);
                Progress::Continues(Rollout::Rolling { change, retry }, Some(RolloutStep::Swap))
            }
            (
                ReadinessProbe::Asked { .. } | ReadinessProbe::Denied { .. } | ReadinessProbe::Ready,
                Some(_) | None,
            ) => Progress::Continues(Rollout::Baking { change, until, probe }, None),
        }
    }

    fn rolling(
        change: GenerationChange,
        retry: Retry,
        event: RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Progress {
        let rolling = |retry, step| Progress::Continues(Rollout::Rolling { change, retry }, step);
        match event {
            RolloutEvent::Lost(reason) if retry.tries + 1 >= TRIES => Self::undo(change, reason, context),
            RolloutEvent::Lost(_) => rolling(retry.after_failure(context), None),
            RolloutEvent::Stopped => Progress::BackedOut(Failure::Stopped),
            RolloutEvent::Looked(RolloutView { failing: true, .. }) => {
                Self::undo(change, Failure::KeepsDying { tries: TRIES }, context)
            }
            RolloutEvent::Looked(view) => {
                let may_start = view.settled && retry.at <= context.now;
                match Self::next_slot(view, change.target, may_start) {
                    NextSlot::Wait => rolling(retry, None),
                    NextSlot::NoneLeft => Progress::Finished,
                    NextSlot::Do(RolloutStep::Swap) => {
                        rolling(Retry { tries: 0, ..retry }, Some(RolloutStep::Swap))
                    }
                    NextSlot::Do(step) => rolling(retry, Some(step)),
                }
            }
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) => rolling(retry, None),
        }
    }

    /// There is nothing to go back to but the old generation: it is tried for as long as it takes.
    fn undoing(
        change: GenerationChange,
        reason: Failure,
        retry: Retry,
        event: &RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Progress {
        let undoing = |reason, retry, step| {
            Progress::Continues(
                Rollout::Undoing {
                    change,
                    reason,
                    retry,
                },
                step,
            )
        };
        match event {
            RolloutEvent::Lost(_) => undoing(reason, retry.after_failure(context), None),
            RolloutEvent::Stopped => Progress::BackedOut(Failure::Stopped),
            RolloutEvent::Looked(view) => {
                match Self::next_slot(*view, change.from, retry.at <= context.now) {
                    NextSlot::Wait => undoing(reason, retry, None),
                    NextSlot::NoneLeft => Progress::BackedOut(reason),
                    NextSlot::Do(step) => undoing(reason, retry, Some(step)),
                }
            }
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) => undoing(reason, retry, None),
        }
    }

    /// One slot after the other, whether the rollout goes forward or back.
    fn next_slot(view: RolloutView, goal: Generation, may_start: bool) -> NextSlot {
        match (view.replacement, view.next) {
            (ReplacementState::Serving, _) => NextSlot::Do(RolloutStep::Swap),
            (ReplacementState::NotServing, _) => NextSlot::Wait,
            (ReplacementState::None, _) if !may_start => NextSlot::Wait,
            (ReplacementState::None, None) => NextSlot::NoneLeft,
            (ReplacementState::None, Some(slot)) if view.room => NextSlot::Do(RolloutStep::Start(slot, goal)),
            (ReplacementState::None, Some(_)) => NextSlot::Wait,
        }
    }

    fn undo(change: GenerationChange, reason: Failure, context: RolloutContext<'_>) -> Progress {
        let step = RolloutStep::Undo(change, reason.clone());
        let retry = Retry::none(context.now);
        Progress::Continues(
            Rollout::Undoing {
                change,
                reason,
                retry,
            },
            Some(step),
        )
    }

    /// The master did not run for that long, and did not watch what bakes.
    pub(in crate::pool) fn discount(&mut self, by: Duration) {
        match self {
            Rollout::Baking { until, probe, .. } => {
                *until = *until + by;
                if let ReadinessProbe::Asked { deadline } = probe {
                    *deadline = *deadline + by;
                }
            }
            Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Rolling { .. } | Rollout::Undoing { .. } => {
            }
        }
    }
}

/// What follows for the next slot.
enum NextSlot {
    Wait,
    NoneLeft,
    Do(RolloutStep),
}
