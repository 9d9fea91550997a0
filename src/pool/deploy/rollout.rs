//! A reload as a transaction: which step follows. It is shown facts and gives one order at a time; it holds no worker.
//!
//! Load beside → one canary beside the old worker of slot 0 → ready → bake → swap → the other slots one at a time, new before
//! old. Until the canary has baked the old generation was never touched, and anything that goes wrong ends the rollout there.
//! Later a slot gets [`TRIES`] lives to become ready; if none does, or a replaced slot keeps dying, the replaced slots go back
//! to the old generation the same way, new before old, so that capacity never falls below the number of slots.

use serde::{Deserialize, Serialize};

use super::canary::{Answers, Probe};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::protocol::effect::Policy;
use crate::pool::protocol::verdict::Failure;

/// How many lives in a row may fail in one slot, after the canary baked, before the rollout is undone.
pub(in crate::pool) const TRIES: u32 = 3;

/// What is rolled out over what, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Job {
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
    Loading(Job),
    /// The canary boots.
    Booting(Job),
    /// The canary serves and is watched.
    Baking {
        job: Job,
        until: Monotonic,
        probe: Probe,
    },
    /// The other slots follow, one at a time.
    Rolling {
        job: Job,
        tries: u32,
        retry_at: Monotonic,
    },
    /// The replaced slots go back.
    Undoing {
        job: Job,
        reason: Failure,
        tries: u32,
        retry_at: Monotonic,
    },
}

/// Whether somebody stands beside a slot's worker, to replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Beside {
    Nobody,
    /// Booting, or ready and late.
    NotServing,
    Serving,
}

/// The pool as a rollout sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct View {
    pub(in crate::pool) beside: Beside,
    /// The lowest slot that does not run what it should.
    pub(in crate::pool) next: Option<Slot>,
    /// Every slot that was replaced has a worker that serves.
    pub(in crate::pool) settled: bool,
    /// A slot that was replaced keeps dying.
    pub(in crate::pool) failing: bool,
    /// One more worker may drain.
    pub(in crate::pool) room: bool,
    /// While a canary stands beside.
    pub(in crate::pool) answers: Option<Answers>,
}

/// What a rollout is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Fact {
    Loaded(Result<(), Failure>),
    /// The canary's own readiness answered.
    Probed(Life, Result<(), String>),
    /// Whoever stood beside is gone or going.
    Lost(Failure),
    /// The cluster stops.
    Stopped,
    /// A look at the pool, after every event.
    Looked(View),
}

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Order {
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
    Undo(Job, Failure),
    /// The new generation is the current one.
    Finish(Job),
    /// The old generation is whole; the new one goes.
    BackOut(Job, Failure),
}

/// Time, policy and chance, as a step needs them.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Hand<'a> {
    pub(in crate::pool) now: Monotonic,
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) random: u64,
}

type Step = (Rollout, Option<Order>);

impl Rollout {
    pub(in crate::pool) fn job(&self) -> Option<Job> {
        match self {
            Rollout::Idle => None,
            Rollout::Loading(job)
            | Rollout::Booting(job)
            | Rollout::Baking { job, .. }
            | Rollout::Rolling { job, .. }
            | Rollout::Undoing { job, .. } => Some(*job),
        }
    }

    /// What an empty slot that was not replaced and a slot that is added get; none: the current generation.
    pub(in crate::pool) fn goal(&self) -> Option<Generation> {
        match self {
            Rollout::Idle | Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Baking { .. } => None,
            Rollout::Rolling { job, .. } => Some(job.target),
            Rollout::Undoing { job, .. } => Some(job.from),
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
    pub(in crate::pool) fn step(self, fact: Fact, hand: Hand<'_>) -> Step {
        match self {
            Rollout::Idle => Self::idle(&fact),
            Rollout::Loading(job) => Self::loading(job, fact),
            Rollout::Booting(job) => Self::booting(job, fact, hand),
            Rollout::Baking { job, until, probe } => Self::baking(job, until, probe, fact, hand),
            Rollout::Rolling { job, tries, retry_at } => Self::rolling(job, tries, retry_at, fact, hand),
            Rollout::Undoing {
                job,
                reason,
                tries,
                retry_at,
            } => Self::undoing(job, reason, tries, retry_at, &fact, hand),
        }
    }

    fn idle(fact: &Fact) -> Step {
        match fact {
            Fact::Loaded(_) | Fact::Probed(..) | Fact::Lost(_) | Fact::Stopped | Fact::Looked(_) => {
                (Rollout::Idle, None)
            }
        }
    }

    fn loading(job: Job, fact: Fact) -> Step {
        match fact {
            Fact::Loaded(Ok(())) => (Rollout::Booting(job), Some(Order::StartCanary(job.target))),
            Fact::Loaded(Err(reason)) => Self::back_out(job, reason),
            Fact::Stopped => Self::stopped(job),
            Fact::Probed(..) | Fact::Lost(_) | Fact::Looked(_) => (Rollout::Loading(job), None),
        }
    }

    fn booting(job: Job, fact: Fact, hand: Hand<'_>) -> Step {
        match fact {
            Fact::Lost(reason) => Self::back_out(job, reason),
            Fact::Stopped => Self::stopped(job),
            Fact::Looked(View {
                beside: Beside::Serving,
                ..
            }) => {
                let until = hand.now + hand.policy.bake_time;
                let probe = Probe::asked(hand);
                (Rollout::Baking { job, until, probe }, Some(Order::Bake))
            }
            Fact::Loaded(_) | Fact::Probed(..) | Fact::Looked(_) => (Rollout::Booting(job), None),
        }
    }

    /// It takes over when its time is up, its own readiness has held, and one more may drain.
    fn baking(job: Job, until: Monotonic, probe: Probe, fact: Fact, hand: Hand<'_>) -> Step {
        match fact {
            Fact::Lost(reason) => Self::back_out(job, reason),
            Fact::Stopped => Self::stopped(job),
            Fact::Probed(life, verdict) => match probe.answered(verdict, until, hand) {
                Ok(probe) => (Rollout::Baking { job, until, probe }, None),
                Err(reason) => Self::back_out(job, Failure::ReadinessFailed { life, reason }),
            },
            Fact::Looked(View {
                answers: Some(answers),
                ..
            }) if answers.are_worse() => {
                let Answers { life, new, old } = answers;
                Self::back_out(job, Failure::AnswersWorse { life, new, old })
            }
            Fact::Looked(view) => Self::look_at_canary(job, until, probe, view, hand),
            Fact::Loaded(_) => (Rollout::Baking { job, until, probe }, None),
        }
    }

    fn look_at_canary(job: Job, until: Monotonic, probe: Probe, view: View, hand: Hand<'_>) -> Step {
        match probe {
            Probe::Asked { deadline } if deadline <= hand.now => {
                let reason = "no answer within ready_timeout".to_owned();
                match view.answers {
                    Some(Answers { life, .. }) => {
                        Self::back_out(job, Failure::ReadinessFailed { life, reason })
                    }
                    None => (Rollout::Baking { job, until, probe }, None),
                }
            }
            Probe::Denied { again_at, .. } if again_at <= hand.now => {
                let probe = Probe::asked(hand);
                (Rollout::Baking { job, until, probe }, Some(Order::Probe))
            }
            Probe::Held if view.beside == Beside::Serving && view.room && until <= hand.now => {
                let rolling = Rollout::Rolling {
                    job,
                    tries: 0,
                    retry_at: hand.now,
                };
                (rolling, Some(Order::Swap))
            }
            Probe::Asked { .. } | Probe::Denied { .. } | Probe::Held => {
                (Rollout::Baking { job, until, probe }, None)
            }
        }
    }

    fn rolling(job: Job, tries: u32, retry_at: Monotonic, fact: Fact, hand: Hand<'_>) -> Step {
        let stay = Rollout::Rolling { job, tries, retry_at };
        match fact {
            Fact::Lost(reason) if tries + 1 >= TRIES => Self::undo(job, reason, hand),
            Fact::Lost(_) => {
                let retry_at = hand.now + hand.policy.backoff.wait(tries + 1, hand.random);
                (
                    Rollout::Rolling {
                        job,
                        tries: tries + 1,
                        retry_at,
                    },
                    None,
                )
            }
            Fact::Stopped => Self::stopped(job),
            Fact::Looked(View { failing: true, .. }) => {
                Self::undo(job, Failure::KeepsDying { tries: TRIES }, hand)
            }
            Fact::Looked(view) => {
                match Self::follow(view, job.target, view.settled && retry_at <= hand.now) {
                    Follow::Wait => (stay, None),
                    Follow::Over => (Rollout::Idle, Some(Order::Finish(job))),
                    Follow::Do(order) => {
                        let tries = if order == Order::Swap { 0 } else { tries };
                        (Rollout::Rolling { job, tries, retry_at }, Some(order))
                    }
                }
            }
            Fact::Loaded(_) | Fact::Probed(..) => (stay, None),
        }
    }

    /// There is nothing to go back to but the old generation: it is tried for as long as it takes.
    fn undoing(
        job: Job,
        reason: Failure,
        tries: u32,
        retry_at: Monotonic,
        fact: &Fact,
        hand: Hand<'_>,
    ) -> Step {
        match fact {
            Fact::Lost(_) => {
                let tries = tries.saturating_add(1);
                let retry_at = hand.now + hand.policy.backoff.wait(tries, hand.random);
                (
                    Rollout::Undoing {
                        job,
                        reason,
                        tries,
                        retry_at,
                    },
                    None,
                )
            }
            Fact::Stopped => Self::stopped(job),
            Fact::Looked(view) => match Self::follow(*view, job.from, retry_at <= hand.now) {
                Follow::Wait => (
                    Rollout::Undoing {
                        job,
                        reason,
                        tries,
                        retry_at,
                    },
                    None,
                ),
                Follow::Over => Self::back_out(job, reason),
                Follow::Do(order) => (
                    Rollout::Undoing {
                        job,
                        reason,
                        tries,
                        retry_at,
                    },
                    Some(order),
                ),
            },
            Fact::Loaded(_) | Fact::Probed(..) => (
                Rollout::Undoing {
                    job,
                    reason,
                    tries,
                    retry_at,
                },
                None,
            ),
        }
    }

    /// One slot after the other, whichever way it goes.
    fn follow(view: View, goal: Generation, may_start: bool) -> Follow {
        match (view.beside, view.next) {
            (Beside::Serving, _) => Follow::Do(Order::Swap),
            (Beside::NotServing, _) => Follow::Wait,
            (Beside::Nobody, _) if !may_start => Follow::Wait,
            (Beside::Nobody, None) => Follow::Over,
            (Beside::Nobody, Some(slot)) if view.room => Follow::Do(Order::Start(slot, goal)),
            (Beside::Nobody, Some(_)) => Follow::Wait,
        }
    }

    fn undo(job: Job, reason: Failure, hand: Hand<'_>) -> Step {
        let order = Order::Undo(job, reason.clone());
        (
            Rollout::Undoing {
                job,
                reason,
                tries: 0,
                retry_at: hand.now,
            },
            Some(order),
        )
    }

    fn back_out(job: Job, reason: Failure) -> Step {
        (Rollout::Idle, Some(Order::BackOut(job, reason)))
    }

    fn stopped(job: Job) -> Step {
        Self::back_out(job, Failure::Stopped)
    }

    /// The master overslept: what bakes was not watched meanwhile.
    pub(in crate::pool) fn excuse(&mut self, by: std::time::Duration) {
        match self {
            Rollout::Baking { until, probe, .. } => {
                *until = *until + by;
                if let Probe::Asked { deadline } = probe {
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
    Do(Order),
}
