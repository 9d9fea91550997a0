//! One worker as the pool knows it, from its fork to its end: one phase at a time (what each answers is in `phases`). Who owns
//! it (a slot, a rollout, the list of those who leave) and what follows from its death is not known here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{Nap, Watch};
use super::load::Load;
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::effect::{Effect, KillReason, Policy};
use crate::pool::protocol::event::{Activity, Notification, Sample};

/// What a worker is doing, as far as it said or showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum Phase {
    /// Forked, not ready. Nobody judges its beats: booting has a deadline of its own.
    Starting { deadline: Monotonic },
    /// Ready and beating.
    Serving { watch: Watch },
    /// Ready once, and its beat is late: it gets no new connections.
    Late { watch: Watch, since: Monotonic },
    /// Asked to go, or going by itself. One that never was ready has no beats to watch.
    Draining {
        since: Monotonic,
        deadline: Monotonic,
        watch: Option<Watch>,
    },
    /// SIGKILL is on its way.
    Killed {
        reason: KillReason,
        draining_since: Option<Monotonic>,
    },
}

/// What can happen to a worker while it lives.
#[derive(Clone, Debug)]
pub(in crate::pool) enum Input {
    Spawned(i32),
    Notified(Notification),
    Observed(Sample),
    Examined(Activity),
    /// Time passed.
    TimePassed,
    /// The master overslept.
    Excused(Duration),
    /// It shall finish what it has and go.
    Retired,
    /// It shall be gone.
    Killed(KillReason),
}

/// What a phase may use beside itself.
pub(in crate::pool) struct Turn<'a> {
    pub(in crate::pool) now: Monotonic,
    pub(in crate::pool) nap: Nap,
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(in crate::pool) fn announce(&mut self, announcement: Announcement) {
        self.effects.push(Effect::Announce(announcement));
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Member {
    pub(in crate::pool) life: Life,
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) pid: Option<i32>,
    pub(in crate::pool) started: Monotonic,
    pub(in crate::pool) ready_at: Option<Monotonic>,
    /// When its phase began.
    pub(in crate::pool) since: Monotonic,
    pub(in crate::pool) load: Load,
    /// What it is asked to go for.
    pub(in crate::pool) purpose: Option<Purpose>,
    /// The age of its last beat when it was killed.
    pub(in crate::pool) killed_with: Option<Duration>,
    /// Its own part of what is left to chance.
    pub(in crate::pool) chance: u16,
    pub(in crate::pool) status: Option<String>,
    pub(in crate::pool) phase: Phase,
}

impl Member {
    /// One that is about to be forked.
    pub(in crate::pool) fn start(
        life: Life,
        generation: Generation,
        chance: u16,
        turn: &mut Turn<'_>,
    ) -> Member {
        turn.effects.push(Effect::Spawn { life, generation });
        Member {
            life,
            generation,
            pid: None,
            started: turn.now,
            ready_at: None,
            since: turn.now,
            load: Load::default(),
            purpose: None,
            killed_with: None,
            chance,
            status: None,
            phase: Phase::Starting {
                deadline: turn.now + turn.policy.ready_timeout,
            },
        }
    }

    /// Ready and beating.
    pub(in crate::pool) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving { .. })
    }

    /// On its way out by its own or somebody's wish, dead or alive.
    pub(in crate::pool) fn is_leaving(&self) -> bool {
        matches!(
            self.phase,
            Phase::Draining { .. }
                | Phase::Killed {
                    draining_since: Some(_),
                    ..
                }
        )
    }

    /// Not on its way to the grave already.
    pub(in crate::pool) fn can_be_killed(&self) -> bool {
        !matches!(self.phase, Phase::Killed { .. })
    }

    /// When it began to drain, if it did.
    pub(in crate::pool) fn draining_since(&self) -> Option<Monotonic> {
        match self.phase {
            Phase::Draining { since, .. } => Some(since),
            Phase::Killed { draining_since, .. } => draining_since,
            Phase::Starting { .. } | Phase::Serving { .. } | Phase::Late { .. } => None,
        }
    }

    /// The instant at which time alone will change something, looks at its beats aside.
    pub(in crate::pool) fn deadline(&self, policy: &Policy) -> Option<Monotonic> {
        match &self.phase {
            Phase::Starting { deadline } => Some(*deadline),
            Phase::Serving { .. } | Phase::Killed { .. } => None,
            Phase::Late { watch, .. } => watch.look_again_at(policy),
            Phase::Draining { deadline, .. } => Some(*deadline),
        }
    }

    /// One thing happened to it.
    pub(in crate::pool) fn step(&mut self, input: Input, turn: &mut Turn<'_>) {
        let input = match self.remember(input) {
            Some(input) => input,
            None => return,
        };
        let before = std::mem::discriminant(&self.phase);
        self.phase = match self.phase {
            Phase::Starting { deadline } => self.starting(deadline, input, turn),
            Phase::Serving { watch } => self.serving(watch, input, turn),
            Phase::Late { watch, since } => self.late(watch, since, input, turn),
            Phase::Draining {
                since,
                deadline,
                watch,
            } => self.draining(since, deadline, watch, input, turn),
            Phase::Killed {
                reason,
                draining_since,
            } => Self::killed(reason, draining_since, &input),
        };
        if std::mem::discriminant(&self.phase) != before {
            self.since = turn.now;
        }
    }

    /// Facts that are kept whatever the phase is; the rest is handed on.
    fn remember(&mut self, input: Input) -> Option<Input> {
        match input {
            Input::Notified(Notification::Status(text)) => self.status = Some(text),
            Input::Observed(ref sample) => {
                self.load.see(sample);
                return Some(input);
            }
            Input::Spawned(_)
            | Input::Notified(Notification::Ready | Notification::Stopping)
            | Input::Examined(_)
            | Input::TimePassed
            | Input::Excused(_)
            | Input::Retired
            | Input::Killed(_) => return Some(input),
        }
        None
    }
}
