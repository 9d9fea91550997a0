//! A reload as a transaction: which step follows. It is shown facts and gives one step at a time; it holds no worker.
//!
//! Load beside → one canary beside the old worker of slot 0 → ready → bake → swap → the other slots one at a time, new before
//! old. Until the canary has baked the old generation was never touched, and anything that goes wrong ends the rollout there.
//! Later a slot gets [`TRIES`] lives to become ready; if none does, or a replaced slot keeps dying, the replaced slots go back
//! to the old generation the same way, new before old, so that capacity never falls below the number of slots.

use serde::{Deserialize, Serialize};

use super::canary::{CanaryAnswers, ReadinessProbe};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::effect::Policy;
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

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum Rollout {
    /// None runs.
    Idle,
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
    Rolling {
        change: GenerationChange,
        tries: u32,
        retry_at: Monotonic,
    },
    /// The replaced slots go back.
    Undoing {
        change: GenerationChange,
        reason: Failure,
        tries: u32,
        retry_at: Monotonic,
    },
}

/// Whether somebody stands beside a slot's worker, to replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum ReplacementState {
    None,
    /// Booting, or ready and late.
    NotServing,
    Serving,
}

/// The pool as a rollout sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct RolloutView {
    pub(in crate::pool) beside: ReplacementState,
    /// The lowest slot that does not run what it should.
    pub(in crate::pool) next: Option<Slot>,
    /// Every slot that was replaced has a worker that serves.
    pub(in crate::pool) settled: bool,
    /// A slot that was replaced keeps dying.
    pub(in crate::pool) failing: bool,
    /// One more worker may drain.
    pub(in crate::pool) room: bool,
    /// While a canary stands beside.
    pub(in crate::pool) answers: Option<CanaryAnswers>,
}

/// What a rollout is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum RolloutEvent {
    Loaded(Result<(), Failure>),
    /// The canary's own readiness answered.
    Probed(Life, Result<(), String>),
    /// Whoever stood beside is gone or going.
    Lost(Failure),
    /// The cluster stops.
    Stopped,
    /// A look at the pool, after every event.
    Looked(RolloutView),
}

/// What it wants done.
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
    /// Whoever stands beside takes the slot; who was in it drains.
    Swap,
    /// Every slot is to be filled with that generation again; whoever stands beside goes.
    Undo(GenerationChange, Failure),
    /// The new generation is the current one.
    Finish(GenerationChange),
    /// The old generation is whole; the new one goes.
    BackOut(GenerationChange, Failure),
}

/// Time, policy and chance, as a step needs them.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct RolloutContext<'a> {
    pub(in crate::pool) now: Monotonic,
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) random: u64,
}

type Step = (Rollout, Option<RolloutStep>);

impl Rollout {
    pub(in crate::pool) fn change(&self) -> Option<GenerationChange> {
        match self {
            Rollout::Idle => None,
            Rollout::Loading(change)
            | Rollout::Booting(change)
            | Rollout::Baking { change, .. }
            | Rollout::Rolling { change, .. }
            | Rollout::Undoing { change, .. } => Some(*change),
        }
    }

    /// What an empty slot that was not replaced and a slot that is added get; none: the current generation.
    pub(in crate::pool) fn goal(&self) -> Option<Generation> {
        match self {
            Rollout::Idle | Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Baking { .. } => None,
            Rollout::Rolling { change, .. } => Some(change.target),
            Rollout::Undoing { change, .. } => Some(change.from),
        }
    }

    /// When time alone will change something.
    pub(in crate::pool) fn deadlines(&self) -> impl Iterator<Item = Monotonic> + use<> {
        let due = match self {
            Rollout::Idle | Rollout::Loading(_) | Rollout::Booting(_) => [None, None],
            Rollout::Baking { until, probe, .. } => [Some(*until), probe.deadline()],
            Rollout::Rolling { retry_at, .. } | Rollout::Undoing { retry_at, .. } => [Some(*retry_at), None],
        };
        due.into_iter().flatten()
    }

    /// One fact: where it stands now, and what to do about it.
    pub(in crate::pool) fn step(self, event: RolloutEvent, context: RolloutContext<'_>) -> Step {
        match self {
            Rollout::Idle => Self::idle(&event),
            Rollout::Loading(change) => Self::loading(change, event),
            Rollout::Booting(change) => Self::booting(change, event, context),
            Rollout::Baking { change, until, probe } => Self::baking(change, until, probe, event, context),
            Rollout::Rolling {
                change,
                tries,
                retry_at,
            } => Self::rolling(change, tries, retry_at, event, context),
            Rollout::Undoing {
                change,
                reason,
                tries,
                retry_at,
            } => Self::undoing(change, reason, tries, retry_at, &event, context),
        }
    }

    fn idle(event: &RolloutEvent) -> Step {
        match event {
            RolloutEvent::Loaded(_)
            | RolloutEvent::Probed(..)
            | RolloutEvent::Lost(_)
            | RolloutEvent::Stopped
            | RolloutEvent::Looked(_) => (Rollout::Idle, None),
        }
    }

    fn loading(change: GenerationChange, event: RolloutEvent) -> Step {
        match event {
            RolloutEvent::Loaded(Ok(())) => (
                Rollout::Booting(change),
                Some(RolloutStep::StartCanary(change.target)),
            ),
            RolloutEvent::Loaded(Err(reason)) => Self::back_out(change, reason),
            RolloutEvent::Stopped => Self::stopped(change),
            RolloutEvent::Probed(..) | RolloutEvent::Lost(_) | RolloutEvent::Looked(_) => {
                (Rollout::Loading(change), None)
            }
        }
    }

    fn booting(change: GenerationChange, event: RolloutEvent, context: RolloutContext<'_>) -> Step {
        match event {
            RolloutEvent::Lost(reason) => Self::back_out(change, reason),
            RolloutEvent::Stopped => Self::stopped(change),
            RolloutEvent::Looked(RolloutView {
                beside: ReplacementState::Serving,
                ..
            }) => {
                let until = context.now + context.policy.bake_time;
                let probe = ReadinessProbe::asked(context);
                (Rollout::Baking { change, until, probe }, Some(RolloutStep::Bake))
            }
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) | RolloutEvent::Looked(_) => {
                (Rollout::Booting(change), None)
            }
        }
    }

    /// It takes over when its time is up, its own readiness has held, and one more may drain.
    fn baking(
        change: GenerationChange,
        until: Monotonic,
        probe: ReadinessProbe,
        event: RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Step {
        match event {
            RolloutEvent::Lost(reason) => Self::back_out(change, reason),
            RolloutEvent::Stopped => Self::stopped(change),
            RolloutEvent::Probed(life, verdict) => match probe.answered(verdict, until, context) {
                Ok(probe) => (Rollout::Baking { change, until, probe }, None),
                Err(reason) => Self::back_out(change, Failure::ReadinessFailed { life, reason }),
            },
            RolloutEvent::Looked(RolloutView {
                answers: Some(answers),
                ..
            }) if answers.are_worse() => {
                let CanaryAnswers { life, new, old } = answers;
                Self::back_out(change, Failure::AnswersWorse { life, new, old })
            }
            RolloutEvent::Looked(view) => Self::look_at_canary(change, until, probe, view, context),
            RolloutEvent::Loaded(_) => (Rollout::Baking { change, until, probe }, None),
        }
    }

    fn look_at_canary(
        change: GenerationChange,
        until: Monotonic,
        probe: ReadinessProbe,
        view: RolloutView,
        context: RolloutContext<'_>,
    ) -> Step {
        match probe {
            ReadinessProbe::Asked { deadline } if deadline <= context.now => {
                let reason = "no answer within ready_timeout".to_owned();
                match view.answers {
                    Some(CanaryAnswers { life, .. }) => {
                        Self::back_out(change, Failure::ReadinessFailed { life, reason })
                    }
                    None => (Rollout::Baking { change, until, probe }, None),
                }
            }
            ReadinessProbe::Denied { again_at, .. } if again_at <= context.now => {
                let probe = ReadinessProbe::asked(context);
                (Rollout::Baking { change, until, probe }, Some(RolloutStep::Probe))
            }
            ReadinessProbe::Ready
                if view.beside == ReplacementState::Serving && view.room && until <= context.now =>
            {
                let rolling = Rollout::Rolling {
                    change,
                    tries: 0,
                    retry_at: context.now,
                };
                (rolling, Some(RolloutStep::Swap))
            }
            ReadinessProbe::Asked { .. } | ReadinessProbe::Denied { .. } | ReadinessProbe::Ready => {
                (Rollout::Baking { change, until, probe }, None)
            }
        }
    }

    fn rolling(
        change: GenerationChange,
        tries: u32,
        retry_at: Monotonic,
        event: RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Step {
        let stay = Rollout::Rolling {
            change,
            tries,
            retry_at,
        };
        match event {
            RolloutEvent::Lost(reason) if tries + 1 >= TRIES => Self::undo(change, reason, context),
            RolloutEvent::Lost(_) => {
                let retry_at = context.now + context.policy.backoff.wait(tries + 1, context.random);
                (
                    Rollout::Rolling {
                        change,
                        tries: tries + 1,
                        retry_at,
                    },
                    None,
                )
            }
            RolloutEvent::Stopped => Self::stopped(change),
            RolloutEvent::Looked(RolloutView { failing: true, .. }) => {
                Self::undo(change, Failure::KeepsDying { tries: TRIES }, context)
            }
            RolloutEvent::Looked(view) => {
                match Self::follow(view, change.target, view.settled && retry_at <= context.now) {
                    Follow::Wait => (stay, None),
                    Follow::Over => (Rollout::Idle, Some(RolloutStep::Finish(change))),
                    Follow::Do(step) => {
                        let tries = if step == RolloutStep::Swap { 0 } else { tries };
                        (
                            Rollout::Rolling {
                                change,
                                tries,
                                retry_at,
                            },
                            Some(step),
                        )
                    }
                }
            }
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) => (stay, None),
        }
    }

    /// There is nothing to go back to but the old generation: it is tried for as long as it takes.
    fn undoing(
        change: GenerationChange,
        reason: Failure,
        tries: u32,
        retry_at: Monotonic,
        event: &RolloutEvent,
        context: RolloutContext<'_>,
    ) -> Step {
        match event {
            RolloutEvent::Lost(_) => {
                let tries = tries.saturating_add(1);
                let retry_at = context.now + context.policy.backoff.wait(tries, context.random);
                (
                    Rollout::Undoing {
                        change,
                        reason,
                        tries,
                        retry_at,
                    },
                    None,
                )
            }
            RolloutEvent::Stopped => Self::stopped(change),
            RolloutEvent::Looked(view) => match Self::follow(*view, change.from, retry_at <= context.now) {
                Follow::Wait => (
                    Rollout::Undoing {
                        change,
                        reason,
                        tries,
                        retry_at,
                    },
                    None,
                ),
                Follow::Over => Self::back_out(change, reason),
                Follow::Do(step) => (
                    Rollout::Undoing {
                        change,
                        reason,
                        tries,
                        retry_at,
                    },
                    Some(step),
                ),
            },
            RolloutEvent::Loaded(_) | RolloutEvent::Probed(..) => (
                Rollout::Undoing {
                    change,
                    reason,
                    tries,
                    retry_at,
                },
                None,
            ),
        }
    }

    /// One slot after the other, whichever way it goes.
    fn follow(view: RolloutView, goal: Generation, may_start: bool) -> Follow {
        match (view.beside, view.next) {
            (ReplacementState::Serving, _) => Follow::Do(RolloutStep::Swap),
            (ReplacementState::NotServing, _) => Follow::Wait,
            (ReplacementState::None, _) if !may_start => Follow::Wait,
            (ReplacementState::None, None) => Follow::Over,
            (ReplacementState::None, Some(slot)) if view.room => Follow::Do(RolloutStep::Start(slot, goal)),
            (ReplacementState::None, Some(_)) => Follow::Wait,
        }
    }

    fn undo(change: GenerationChange, reason: Failure, context: RolloutContext<'_>) -> Step {
        let step = RolloutStep::Undo(change, reason.clone());
        (
            Rollout::Undoing {
                change,
                reason,
                tries: 0,
                retry_at: context.now,
            },
            Some(step),
        )
    }

    fn back_out(change: GenerationChange, reason: Failure) -> Step {
        (Rollout::Idle, Some(RolloutStep::BackOut(change, reason)))
    }

    fn stopped(change: GenerationChange) -> Step {
        Self::back_out(change, Failure::Stopped)
    }

    /// The master overslept: what bakes was not watched meanwhile.
    pub(in crate::pool) fn discount(&mut self, by: std::time::Duration) {
        match self {
            Rollout::Baking { until, probe, .. } => {
                *until = *until + by;
                if let ReadinessProbe::Asked { deadline } = probe {
                    *deadline = *deadline + by;
                }
            }
            Rollout::Idle
            | Rollout::Loading(_)
            | Rollout::Booting(_)
            | Rollout::Rolling { .. }
            | Rollout::Undoing { .. } => {}
        }
    }
}

enum Follow {
    Wait,
    Over,
    Do(RolloutStep),
}
