//! One worker as the pool knows it, from its fork to its end: one phase at a time (what each answers is in `phases`). Who owns
//! it (a slot, a rollout, the list of those who leave) and what follows from its death is not known here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{Heartbeat, Stall};
use super::load::Load;
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::effect::{Effect, KillReason, Policy};
use crate::pool::protocol::event::{Activity, Notification, Sample};

/// What a worker is doing, as far as it said or showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum WorkerPhase {
    /// Forked, not ready. Nobody judges its beats: booting has a deadline of its own.
    Starting { deadline: Monotonic },
    /// Ready and beating.
    Serving { heartbeat: Heartbeat },
    /// Ready once, and its beat is late: it gets no new connections.
    Late { heartbeat: Heartbeat, since: Monotonic },
    /// Asked to go, or going by itself. One that never was ready has no beats to watch.
    Draining {
        since: Monotonic,
        deadline: Monotonic,
        heartbeat: Option<Heartbeat>,
    },
    /// SIGKILL is on its way.
    Killed {
        reason: KillReason,
        draining_since: Option<Monotonic>,
    },
}

/// What can happen to a worker while it lives.
#[derive(Clone, Debug)]
pub(in crate::pool) enum WorkerEvent {
    Spawned(i32),
    Notified(Notification),
    Observed(Sample),
    Examined(Activity),
    /// Time passed.
    TimePassed,
    /// The master overslept.
    MasterStalled(Duration),
    /// It shall finish what it has and go.
    Retired,
    /// It shall be gone.
    Killed(KillReason),
}

/// What a phase may use beside itself.
pub(in crate::pool) struct WorkerContext<'a> {
    pub(in crate::pool) now: Monotonic,
    pub(in crate::pool) stall: Stall,
    pub(in crate::pool) policy: &'a Policy,
    pub(in crate::pool) effects: &'a mut Vec<Effect>,
}

impl WorkerContext<'_> {
    pub(in crate::pool) fn announce(&mut self, announcement: Announcement) {
        self.effects.push(Effect::Announce(announcement));
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct PoolWorker {
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
    pub(in crate::pool) phase: WorkerPhase,
}

impl PoolWorker {
    /// One that is about to be forked.
    pub(in crate::pool) fn start(
        life: Life,
        generation: Generation,
        chance: u16,
        context: &mut WorkerContext<'_>,
    ) -> PoolWorker {
        context.effects.push(Effect::Spawn { life, generation });
        PoolWorker {
            life,
            generation,
            pid: None,
            started: context.now,
            ready_at: None,
            since: context.now,
            load: Load::default(),
            purpose: None,
            killed_with: None,
            chance,
            status: None,
            phase: WorkerPhase::Starting {
                deadline: context.now + context.policy.ready_timeout,
            },
        }
    }

    /// Ready and beating.
    pub(in crate::pool) fn is_serving(&self) -> bool {
        matches!(self.phase, WorkerPhase::Serving { .. })
    }

    /// On its way out by its own or somebody's wish, dead or alive.
    pub(in crate::pool) fn is_leaving(&self) -> bool {
        matches!(
            self.phase,
            WorkerPhase::Draining { .. }
                | WorkerPhase::Killed {
                    draining_since: Some(_),
                    ..
                }
        )
    }

    /// Not on its way to the grave already.
    pub(in crate::pool) fn can_be_killed(&self) -> bool {
        !matches!(self.phase, WorkerPhase::Killed { .. })
    }

    /// When it began to drain, if it did.
    pub(in crate::pool) fn draining_since(&self) -> Option<Monotonic> {
        match self.phase {
            WorkerPhase::Draining { since, .. } => Some(since),
            WorkerPhase::Killed { draining_since, .. } => draining_since,
            WorkerPhase::Starting { .. } | WorkerPhase::Serving { .. } | WorkerPhase::Late { .. } => None,
        }
    }

    /// The instant at which time alone will change something, looks at its beats aside.
    pub(in crate::pool) fn deadline(&self, policy: &Policy) -> Option<Monotonic> {
        match &self.phase {
            WorkerPhase::Starting { deadline } => Some(*deadline),
            WorkerPhase::Serving { .. } | WorkerPhase::Killed { .. } => None,
            WorkerPhase::Late { heartbeat, .. } => heartbeat.look_again_at(policy),
            WorkerPhase::Draining { deadline, .. } => Some(*deadline),
        }
    }

    /// One thing happened to it.
    pub(in crate::pool) fn step(&mut self, event: WorkerEvent, context: &mut WorkerContext<'_>) {
        let event = match self.remember(event) {
            Some(event) => event,
            None => return,
        };
        let before = std::mem::discriminant(&self.phase);
        self.phase = match self.phase {
            WorkerPhase::Starting { deadline } => self.starting(deadline, event, context),
            WorkerPhase::Serving { heartbeat } => self.serving(heartbeat, event, context),
            WorkerPhase::Late { heartbeat, since } => self.late(heartbeat, since, event, context),
            WorkerPhase::Draining {
                since,
                deadline,
                heartbeat,
            } => self.draining(since, deadline, heartbeat, event, context),
            WorkerPhase::Killed {
                reason,
                draining_since,
            } => Self::killed(reason, draining_since, &event),
        };
        if std::mem::discriminant(&self.phase) != before {
            self.since = context.now;
        }
    }

    /// Facts that are kept whatever the phase is; the rest is handed on.
    fn remember(&mut self, event: WorkerEvent) -> Option<WorkerEvent> {
        match event {
            WorkerEvent::Notified(Notification::Status(text)) => self.status = Some(text),
            WorkerEvent::Observed(ref sample) => {
                self.load.see(sample);
                return Some(event);
            }
            WorkerEvent::Spawned(_)
            | WorkerEvent::Notified(Notification::Ready | Notification::Stopping)
            | WorkerEvent::Examined(_)
            | WorkerEvent::TimePassed
            | WorkerEvent::MasterStalled(_)
            | WorkerEvent::Retired
            | WorkerEvent::Killed(_) => return Some(event),
        }
        None
    }
}
