//! A reload as a transaction: which step follows. It is shown facts and gives one order at a time; it holds no worker.
//!
//! Load beside → one canary beside the old worker of slot 0 → ready → bake → swap → the other slots one at a time, new before
//! old. Until the canary has baked the old generation was never touched, and anything that goes wrong ends the rollout there.
//! Later a slot gets [`TRIES`] lives to become ready; if none does, or a replaced slot keeps dying, the replaced slots go back
//! to the old generation the same way, new before old, so that capacity never falls below the number of slots.

use serde::{Deserialize, Serialize};

use super::effect::Policy;
use super::verdict::Failure;
use crate::base::ids::{Generation, Slot};
use crate::base::time::Monotonic;

/// How many lives in a row may fail in one slot, after the canary baked, before the rollout is undone.
pub(super) const TRIES: u32 = 3;

/// What is rolled out over what, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) target: Generation,
    pub(super) from: Generation,
    pub(super) started: Monotonic,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rollout {
    /// None runs.
    Idle,
    /// The configuration is read and the binary opened.
    Loading(Job),
    /// The canary boots.
    Booting(Job),
    /// The canary serves and is watched.
    Baking { job: Job, until: Monotonic },
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
pub(super) enum Beside {
    Nobody,
    /// Booting, or ready and late.
    NotServing,
    Serving,
}

/// The pool as a rollout sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) beside: Beside,
    /// The lowest slot that does not run what it should.
    pub(super) next: Option<Slot>,
    /// Every slot that was replaced has a worker that serves.
    pub(super) settled: bool,
    /// A slot that was replaced keeps dying.
    pub(super) failing: bool,
    /// One more worker may drain.
    pub(super) room: bool,
}

/// What a rollout is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Loaded(Result<(), Failure>),
    /// Whoever stood beside is gone or going.
    Lost(Failure),
    /// The cluster stops.
    Stopped,
    /// A look at the pool, after every event.
    Looked(View),
}

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Start a worker of that generation beside that slot's own.
    Start(Slot, Generation),
    /// Say that the canary bakes.
    Bake,
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
pub(super) struct Hand<'a> {
    pub(super) now: Monotonic,
    pub(super) policy: &'a Policy,
    pub(super) random: u64,
}

type Step = (Rollout, Option<Order>);

impl Rollout {
    pub(super) fn job(&self) -> Option<Job> {
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
    pub(super) fn goal(&self) -> Option<Generation> {
        match self {
            Rollout::Idle | Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Baking { .. } => None,
            Rollout::Rolling { job, .. } => Some(job.target),
            Rollout::Undoing { job, .. } => Some(job.from),
        }
    }

    /// When time alone will change something.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self {
            Rollout::Idle | Rollout::Loading(_) | Rollout::Booting(_) => None,
            Rollout::Baking { until, .. } => Some(*until),
            Rollout::Rolling { retry_at, .. } | Rollout::Undoing { retry_at, .. } => Some(*retry_at),
        }
    }

    /// One fact: where it stands now, and what to do about it.
    pub(super) fn step(self, fact: Fact, hand: Hand<'_>) -> Step {
        match self {
            Rollout::Idle => Self::idle(&fact),
            Rollout::Loading(job) => Self::loading(job, fact),
            Rollout::Booting(job) => Self::booting(job, fact, hand),
            Rollout::Baking { job, until } => Self::baking(job, until, fact, hand),
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
            Fact::Loaded(_) | Fact::Lost(_) | Fact::Stopped | Fact::Looked(_) => (Rollout::Idle, None),
        }
    }

    fn loading(job: Job, fact: Fact) -> Step {
        match fact {
            Fact::Loaded(Ok(())) => (Rollout::Booting(job), Some(Order::Start(Slot(0), job.target))),
            Fact::Loaded(Err(reason)) => Self::back_out(job, reason),
            Fact::Stopped => Self::stopped(job),
            Fact::Lost(_) | Fact::Looked(_) => (Rollout::Loading(job), None),
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
                (Rollout::Baking { job, until }, Some(Order::Bake))
            }
            Fact::Loaded(_) | Fact::Looked(_) => (Rollout::Booting(job), None),
        }
    }

    fn baking(job: Job, until: Monotonic, fact: Fact, hand: Hand<'_>) -> Step {
        match fact {
            Fact::Lost(reason) => Self::back_out(job, reason),
            Fact::Stopped => Self::stopped(job),
            Fact::Looked(View {
                beside: Beside::Serving,
                room: true,
                ..
            }) if until <= hand.now => (
                Rollout::Rolling {
                    job,
                    tries: 0,
                    retry_at: hand.now,
                },
                Some(Order::Swap),
            ),
            Fact::Loaded(_) | Fact::Looked(_) => (Rollout::Baking { job, until }, None),
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
            Fact::Loaded(_) => (stay, None),
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
            Fact::Loaded(_) => (
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
    pub(super) fn excuse(&mut self, by: std::time::Duration) {
        match self {
            Rollout::Baking { until, .. } => *until = *until + by,
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
