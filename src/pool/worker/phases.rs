//! What each phase of a worker answers to each event: one function per phase.

use std::time::Duration;

use super::context::WorkerContext;
use super::heartbeat::Heartbeat;
use super::pool_worker::{PoolWorker, WorkerEvent, WorkerPhase};
use crate::base::time::Monotonic;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, Signal};
use crate::pool::protocol::event::Notification;
use crate::pool::protocol::facts::{Activity, KillReason};

impl PoolWorker {
    pub(in crate::pool) fn starting(
        &mut self,
        deadline: Monotonic,
        event: WorkerEvent,
        context: &mut WorkerContext<'_>,
    ) -> WorkerPhase {
        match event {
            WorkerEvent::Spawned(pid) => {
                self.spawned(pid, context);
                WorkerPhase::Starting { deadline }
            }
            WorkerEvent::Notified(Notification::Ready) => self.ready(context),
            WorkerEvent::Notified(Notification::Stopping) => self.drain_unasked(None, context),
            WorkerEvent::TimePassed if deadline <= context.now => self.kill(KillReason::NeverReady, context),
            WorkerEvent::MasterStalled(by) => WorkerPhase::Starting {
                deadline: deadline + by,
            },
            WorkerEvent::Retired => self.drain(None, context),
            WorkerEvent::Killed(reason) => self.kill(reason, context),
            WorkerEvent::TimePassed
            | WorkerEvent::Notified(Notification::Status(_) | Notification::Trouble(_))
            | WorkerEvent::Observed(_)
            | WorkerEvent::Examined(_) => WorkerPhase::Starting { deadline },
        }
    }

    pub(in crate::pool) fn serving(
        &mut self,
        mut heartbeat: Heartbeat,
        event: WorkerEvent,
        context: &mut WorkerContext<'_>,
    ) -> WorkerPhase {
        match event {
            WorkerEvent::Observed(sample) => {
                heartbeat.see(sample, context.now, context.stall);
                if heartbeat.is_late(context.now, context.policy) {
                    self.quarantine(heartbeat, context)
                } else {
                    WorkerPhase::Serving { heartbeat }
                }
            }
            WorkerEvent::MasterStalled(by) => {
                heartbeat.discount(by);
                WorkerPhase::Serving { heartbeat }
            }
            WorkerEvent::Notified(Notification::Stopping) => self.drain_unasked(Some(heartbeat), context),
            WorkerEvent::Retired => self.drain(Some(heartbeat), context),
            WorkerEvent::Killed(reason) => self.kill(reason, context),
            // An answer to a question that was asked before the last beat, a second READY, a second Spawned.
            WorkerEvent::Examined(_)
            | WorkerEvent::Spawned(_)
            | WorkerEvent::TimePassed
            | WorkerEvent::Notified(
                Notification::Ready | Notification::Status(_) | Notification::Trouble(_),
            ) => WorkerPhase::Serving { heartbeat },
        }
    }

    pub(in crate::pool) fn late(
        &mut self,
        mut heartbeat: Heartbeat,
        since: Monotonic,
        event: WorkerEvent,
        context: &mut WorkerContext<'_>,
    ) -> WorkerPhase {
        match event {
            WorkerEvent::Observed(sample) => {
                heartbeat.see(sample, context.now, context.stall);
                if heartbeat.is_late(context.now, context.policy) {
                    context.effects.push(Effect::Examine { life: self.life });
                    WorkerPhase::Late { heartbeat, since }
                } else {
                    context.announce(Announcement::Returned {
                        life: self.life,
                        after: context.now.since(since),
                    });
                    WorkerPhase::Serving { heartbeat }
                }
            }
            WorkerEvent::Examined(activity) => {
                heartbeat.examine(activity, context.now);
                match heartbeat.kill_reason(context.now, context.policy) {
                    Some(reason) => self.kill(reason, context),
                    None => WorkerPhase::Late { heartbeat, since },
                }
            }
            WorkerEvent::MasterStalled(by) => {
                heartbeat.discount(by);
                WorkerPhase::Late { heartbeat, since }
            }
            WorkerEvent::Notified(Notification::Stopping) => self.drain_unasked(Some(heartbeat), context),
            WorkerEvent::Retired => self.drain(Some(heartbeat), context),
            WorkerEvent::Killed(reason) => self.kill(reason, context),
            WorkerEvent::Spawned(_)
            | WorkerEvent::TimePassed
            | WorkerEvent::Notified(
                Notification::Ready | Notification::Status(_) | Notification::Trouble(_),
            ) => WorkerPhase::Late { heartbeat, since },
        }
    }

    /// A worker that drains may still hold a lock, or hang. It is examined like the others, or it would block
    /// them for the whole `drain_timeout`.
    pub(in crate::pool) fn draining(
        &mut self,
        since: Monotonic,
        deadline: Monotonic,
        mut heartbeat: Option<Heartbeat>,
        event: WorkerEvent,
        context: &mut WorkerContext<'_>,
    ) -> WorkerPhase {
        match event {
            WorkerEvent::Observed(sample) => {
                if let Some(heartbeat) = &mut heartbeat {
                    heartbeat.see(sample, context.now, context.stall);
                    if heartbeat.is_late(context.now, context.policy) {
                        context.effects.push(Effect::Examine { life: self.life });
                    }
                }
            }
            WorkerEvent::Examined(activity) => {
                if let Some(reason) = heartbeat
                    .as_mut()
                    .and_then(|heartbeat| kill_reason_after(heartbeat, activity, context))
                {
                    return self.kill(reason, context);
                }
            }
            WorkerEvent::TimePassed if deadline <= context.now => {
                return self.kill(KillReason::DrainTimeout, context);
            }
            WorkerEvent::MasterStalled(by) => {
                if let Some(heartbeat) = &mut heartbeat {
                    heartbeat.discount(by);
                }
                return WorkerPhase::Draining {
                    since,
                    deadline: deadline + by,
                    heartbeat,
                };
            }
            WorkerEvent::Killed(reason) => return self.kill(reason, context),
            WorkerEvent::Spawned(pid) => self.spawned(pid, context),
            WorkerEvent::TimePassed | WorkerEvent::Notified(_) | WorkerEvent::Retired => {}
        }
        WorkerPhase::Draining {
            since,
            deadline,
            heartbeat,
        }
    }

    /// Nothing changes a worker that was killed; only its death is awaited.
    pub(in crate::pool) fn killed(
        reason: KillReason,
        draining_since: Option<Monotonic>,
        event: &WorkerEvent,
    ) -> WorkerPhase {
        match event {
            WorkerEvent::Spawned(_)
            | WorkerEvent::Notified(_)
            | WorkerEvent::Observed(_)
            | WorkerEvent::Examined(_)
            | WorkerEvent::TimePassed
            | WorkerEvent::MasterStalled(_)
            | WorkerEvent::Retired
            | WorkerEvent::Killed(_) => WorkerPhase::Killed {
                reason,
                draining_since,
            },
        }
    }

    fn spawned(&mut self, pid: i32, context: &mut WorkerContext<'_>) {
        self.pid = Some(pid);
        context.announce(Announcement::Starting {
            life: self.life,
            generation: self.generation,
            pid,
        });
    }

    fn ready(&mut self, context: &mut WorkerContext<'_>) -> WorkerPhase {
        self.ready_at = Some(context.now);
        context.announce(Announcement::Ready {
            life: self.life,
            after: context.now.since(self.started),
        });
        WorkerPhase::Serving {
            heartbeat: Heartbeat::begin(context.now),
        }
    }

    fn quarantine(&mut self, heartbeat: Heartbeat, context: &mut WorkerContext<'_>) -> WorkerPhase {
        context.announce(Announcement::Quarantined {
            life: self.life,
            late: heartbeat.age(context.now),
        });
        context.effects.push(Effect::Examine { life: self.life });
        WorkerPhase::Late {
            heartbeat,
            since: context.now,
        }
    }

    fn drain(&mut self, heartbeat: Option<Heartbeat>, context: &mut WorkerContext<'_>) -> WorkerPhase {
        context.effects.push(Effect::Signal {
            life: self.life,
            signal: Signal::Terminate,
        });
        self.drain_unasked(heartbeat, context)
    }

    fn drain_unasked(
        &mut self,
        heartbeat: Option<Heartbeat>,
        context: &mut WorkerContext<'_>,
    ) -> WorkerPhase {
        context.announce(Announcement::Draining { life: self.life });
        WorkerPhase::Draining {
            since: context.now,
            deadline: context.now + context.policy.drain_timeout,
            heartbeat,
        }
    }

    fn kill(&mut self, reason: KillReason, context: &mut WorkerContext<'_>) -> WorkerPhase {
        context.announce(Announcement::Killed {
            life: self.life,
            reason,
            beat_age: self.beat_age(context.now).unwrap_or_default(),
            trouble: self.trouble.clone(),
        });
        self.killed_with = self.beat_age(context.now);
        context.effects.push(Effect::Signal {
            life: self.life,
            signal: Signal::Kill,
        });
        WorkerPhase::Killed {
            reason,
            draining_since: self.draining_since(),
        }
    }

    /// The age of the worker's last beat, less what is not held against the worker; for a worker that was
    /// killed: at that moment.
    pub(in crate::pool) fn beat_age(&self, now: Monotonic) -> Option<Duration> {
        match &self.phase {
            WorkerPhase::Serving { heartbeat } | WorkerPhase::Late { heartbeat, .. } => {
                Some(heartbeat.age(now))
            }
            WorkerPhase::Draining { heartbeat, .. } => heartbeat.map(|heartbeat| heartbeat.age(now)),
            WorkerPhase::Starting { .. } => None,
            WorkerPhase::Killed { .. } => self.killed_with,
        }
    }
}

fn kill_reason_after(
    heartbeat: &mut Heartbeat,
    activity: Activity,
    context: &WorkerContext<'_>,
) -> Option<KillReason> {
    heartbeat.examine(activity, context.now);
    heartbeat.kill_reason(context.now, context.policy)
}
