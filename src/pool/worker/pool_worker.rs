//! One worker as the pool knows it, from its fork to its end. A worker is in one phase at a time; what each
//! phase answers to each event is in `phases`. This file must not know who owns the worker (a slot, an
//! operation, the list of those that leave), nor what follows from its death.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::WorkerContext;
use super::heartbeat::Heartbeat;
use super::load::Load;
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::event::{Notification, Sample};
use crate::pool::protocol::facts::{Activity, KillReason, Policy};

/// What a worker is doing, as far as it said or showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum WorkerPhase {
    /// Forked, not ready. Its beats are not judged: booting has a deadline of its own.
    Starting { deadline: Monotonic },
    /// Ready and beating.
    Serving { heartbeat: Heartbeat },
    /// Ready once, and its beat is late: it gets no new connections.
    Late { heartbeat: Heartbeat, since: Monotonic },
    /// Asked to go, or going by itself. A worker that never was ready has no heartbeat to watch.
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
    /// The process was started and has this pid.
    Spawned(i32),
    /// The worker said something on its notify socket.
    Notified(Notification),
    /// Its scoreboard was looked at.
    Observed(Sample),
    /// `/proc` was read for it.
    Examined(Activity),
    /// Time may have passed: sent to every worker after every batch of events.
    TimePassed,
    /// The master did not run for this long, which is not held against the worker.
    MasterStalled(Duration),
    /// The worker is to finish what it has and go.
    Retired,
    /// The worker is to be killed.
    Killed(KillReason),
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct PoolWorker {
    pub(in crate::pool) life: Life,
    pub(in crate::pool) generation: Generation,
    /// `None` until the shell has said it.
    pub(in crate::pool) pid: Option<i32>,
    /// When the fork was asked for.
    pub(in crate::pool) started: Monotonic,
    /// When the worker said READY, if it did.
    pub(in crate::pool) ready_at: Option<Monotonic>,
    /// When its phase began.
    pub(in crate::pool) since: Monotonic,
    pub(in crate::pool) load: Load,
    /// What the worker was asked to go for, if it was.
    pub(in crate::pool) purpose: Option<Purpose>,
    /// The age of its last beat when it was killed.
    pub(in crate::pool) killed_with: Option<Duration>,
    /// A random number of its own, which spreads the ends of workers that began together.
    pub(in crate::pool) chance: u16,
    /// Its own words (`STATUS=`).
    pub(in crate::pool) status: Option<String>,
    /// Why it does not do its work, in its own words.
    pub(in crate::pool) trouble: Option<String>,
    pub(in crate::pool) phase: WorkerPhase,
}

impl PoolWorker {
    /// A worker that is about to be forked.
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
            trouble: None,
            phase: WorkerPhase::Starting {
                deadline: context.now + context.policy.ready_timeout,
            },
        }
    }

    /// Ready and beating.
    pub(in crate::pool) fn is_serving(&self) -> bool {
        matches!(self.phase, WorkerPhase::Serving { .. })
    }

    /// Whether the worker drains, or was killed while it drained.
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

    /// Whether no SIGKILL is on its way yet.
    pub(in crate::pool) fn can_be_killed(&self) -> bool {
        !matches!(self.phase, WorkerPhase::Killed { .. })
    }

    /// When the worker began to drain, if it did.
    pub(in crate::pool) fn draining_since(&self) -> Option<Monotonic> {
        match self.phase {
            WorkerPhase::Draining { since, .. } => Some(since),
            WorkerPhase::Killed { draining_since, .. } => draining_since,
            WorkerPhase::Starting { .. } | WorkerPhase::Serving { .. } | WorkerPhase::Late { .. } => None,
        }
    }

    /// Why the worker was killed, if it was.
    pub(in crate::pool) fn killed_for(&self) -> Option<KillReason> {
        match self.phase {
            WorkerPhase::Killed { reason, .. } => Some(reason),
            WorkerPhase::Starting { .. }
            | WorkerPhase::Serving { .. }
            | WorkerPhase::Late { .. }
            | WorkerPhase::Draining { .. } => None,
        }
    }

    /// The instant at which time alone changes something about the worker; looks at its beats are not
    /// counted.
    pub(in crate::pool) fn deadline(&self, policy: &Policy) -> Option<Monotonic> {
        match &self.phase {
            WorkerPhase::Starting { deadline } => Some(*deadline),
            WorkerPhase::Serving { .. } | WorkerPhase::Killed { .. } => None,
            WorkerPhase::Late { heartbeat, .. } => heartbeat.look_again_at(policy),
            WorkerPhase::Draining { deadline, .. } => Some(*deadline),
        }
    }

    /// One thing happened to the worker.
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

    /// Keeps what is kept whatever the phase is. `None`: there is nothing left for the phase.
    fn remember(&mut self, event: WorkerEvent) -> Option<WorkerEvent> {
        match event {
            WorkerEvent::Notified(Notification::Status(text)) => self.status = Some(text),
            WorkerEvent::Notified(Notification::Trouble(trouble)) => self.trouble = trouble,
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
