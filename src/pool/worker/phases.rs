//! What each phase of a worker answers to each input: one function per phase.

use std::time::Duration;

use super::heartbeat::Watch;
use super::pool_worker::{Input, Member, Phase, Turn};
use crate::base::time::Monotonic;
use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, KillReason, Signal};
use crate::pool::protocol::event::{Activity, Notification};

impl Member {
    pub(in crate::pool) fn starting(
        &mut self,
        deadline: Monotonic,
        input: Input,
        turn: &mut Turn<'_>,
    ) -> Phase {
        match input {
            Input::Spawned(pid) => {
                self.spawned(pid, turn);
                Phase::Starting { deadline }
            }
            Input::Notified(Notification::Ready) => self.ready(turn),
            Input::Notified(Notification::Stopping) => self.drain_unasked(None, turn),
            Input::TimePassed if deadline <= turn.now => self.kill(KillReason::NeverReady, turn),
            Input::Excused(by) => Phase::Starting {
                deadline: deadline + by,
            },
            Input::Retired => self.drain(None, turn),
            Input::Killed(reason) => self.kill(reason, turn),
            Input::TimePassed
            | Input::Notified(Notification::Status(_))
            | Input::Observed(_)
            | Input::Examined(_) => Phase::Starting { deadline },
        }
    }

    pub(in crate::pool) fn serving(&mut self, mut watch: Watch, input: Input, turn: &mut Turn<'_>) -> Phase {
        match input {
            Input::Observed(sample) => {
                watch.see(sample, turn.now, turn.nap);
                if watch.is_late(turn.now, turn.policy) {
                    self.quarantine(watch, turn)
                } else {
                    Phase::Serving { watch }
                }
            }
            Input::Excused(by) => {
                watch.excuse(by);
                Phase::Serving { watch }
            }
            Input::Notified(Notification::Stopping) => self.drain_unasked(Some(watch), turn),
            Input::Retired => self.drain(Some(watch), turn),
            Input::Killed(reason) => self.kill(reason, turn),
            // An answer to a question from before its beat came, a second READY, a second Spawned.
            Input::Examined(_)
            | Input::Spawned(_)
            | Input::TimePassed
            | Input::Notified(Notification::Ready | Notification::Status(_)) => Phase::Serving { watch },
        }
    }

    pub(in crate::pool) fn late(
        &mut self,
        mut watch: Watch,
        since: Monotonic,
        input: Input,
        turn: &mut Turn<'_>,
    ) -> Phase {
        match input {
            Input::Observed(sample) => {
                watch.see(sample, turn.now, turn.nap);
                if watch.is_late(turn.now, turn.policy) {
                    turn.effects.push(Effect::Examine { life: self.life });
                    Phase::Late { watch, since }
                } else {
                    turn.announce(Announcement::Returned {
                        life: self.life,
                        after: turn.now.since(since),
                    });
                    Phase::Serving { watch }
                }
            }
            Input::Examined(activity) => {
                watch.examine(activity, turn.now);
                match watch.doom(turn.now, turn.policy) {
                    Some(reason) => self.kill(reason, turn),
                    None => Phase::Late { watch, since },
                }
            }
            Input::Excused(by) => {
                watch.excuse(by);
                Phase::Late { watch, since }
            }
            Input::Notified(Notification::Stopping) => self.drain_unasked(Some(watch), turn),
            Input::Retired => self.drain(Some(watch), turn),
            Input::Killed(reason) => self.kill(reason, turn),
            Input::Spawned(_)
            | Input::TimePassed
            | Input::Notified(Notification::Ready | Notification::Status(_)) => Phase::Late { watch, since },
        }
    }

    /// One that drains may still hold a lock or hang; it is examined like the others, or it would block them for the whole
    /// `drain_timeout`.
    pub(in crate::pool) fn draining(
        &mut self,
        since: Monotonic,
        deadline: Monotonic,
        mut watch: Option<Watch>,
        input: Input,
        turn: &mut Turn<'_>,
    ) -> Phase {
        match input {
            Input::Observed(sample) => {
                if let Some(watch) = &mut watch {
                    watch.see(sample, turn.now, turn.nap);
                    if watch.is_late(turn.now, turn.policy) {
                        turn.effects.push(Effect::Examine { life: self.life });
                    }
                }
            }
            Input::Examined(activity) => {
                if let Some(reason) = watch.as_mut().and_then(|watch| doomed(watch, activity, turn)) {
                    return self.kill(reason, turn);
                }
            }
            Input::TimePassed if deadline <= turn.now => return self.kill(KillReason::DrainTimeout, turn),
            Input::Excused(by) => {
                if let Some(watch) = &mut watch {
                    watch.excuse(by);
                }
                return Phase::Draining {
                    since,
                    deadline: deadline + by,
                    watch,
                };
            }
            Input::Killed(reason) => return self.kill(reason, turn),
            Input::Spawned(pid) => self.spawned(pid, turn),
            Input::TimePassed | Input::Notified(_) | Input::Retired => {}
        }
        Phase::Draining {
            since,
            deadline,
            watch,
        }
    }

    /// Nothing helps any more; only its death comes.
    pub(in crate::pool) fn killed(
        reason: KillReason,
        draining_since: Option<Monotonic>,
        input: &Input,
    ) -> Phase {
        match input {
            Input::Spawned(_)
            | Input::Notified(_)
            | Input::Observed(_)
            | Input::Examined(_)
            | Input::TimePassed
            | Input::Excused(_)
            | Input::Retired
            | Input::Killed(_) => Phase::Killed {
                reason,
                draining_since,
            },
        }
    }

    fn spawned(&mut self, pid: i32, turn: &mut Turn<'_>) {
        self.pid = Some(pid);
        turn.announce(Announcement::Starting {
            life: self.life,
            generation: self.generation,
            pid,
        });
    }

    fn ready(&mut self, turn: &mut Turn<'_>) -> Phase {
        self.ready_at = Some(turn.now);
        turn.announce(Announcement::Ready {
            life: self.life,
            after: turn.now.since(self.started),
        });
        Phase::Serving {
            watch: Watch::begin(turn.now),
        }
    }

    fn quarantine(&mut self, watch: Watch, turn: &mut Turn<'_>) -> Phase {
        turn.announce(Announcement::Quarantined {
            life: self.life,
            late: watch.age(turn.now),
        });
        turn.effects.push(Effect::Examine { life: self.life });
        Phase::Late {
            watch,
            since: turn.now,
        }
    }

    fn drain(&mut self, watch: Option<Watch>, turn: &mut Turn<'_>) -> Phase {
        turn.effects.push(Effect::Signal {
            life: self.life,
            signal: Signal::Terminate,
        });
        self.drain_unasked(watch, turn)
    }

    fn drain_unasked(&mut self, watch: Option<Watch>, turn: &mut Turn<'_>) -> Phase {
        turn.announce(Announcement::Draining { life: self.life });
        Phase::Draining {
            since: turn.now,
            deadline: turn.now + turn.policy.drain_timeout,
            watch,
        }
    }

    fn kill(&mut self, reason: KillReason, turn: &mut Turn<'_>) -> Phase {
        turn.announce(Announcement::Killed {
            life: self.life,
            reason,
            beat_age: self.beat_age(turn.now).unwrap_or_default(),
        });
        self.killed_with = self.beat_age(turn.now);
        turn.effects.push(Effect::Signal {
            life: self.life,
            signal: Signal::Kill,
        });
        Phase::Killed {
            reason,
            draining_since: self.draining_since(),
        }
    }

    /// The age of its last beat, less what nobody could be blamed for; when it was killed: at that moment.
    pub(in crate::pool) fn beat_age(&self, now: Monotonic) -> Option<Duration> {
        match &self.phase {
            Phase::Serving { watch } | Phase::Late { watch, .. } => Some(watch.age(now)),
            Phase::Draining { watch, .. } => watch.map(|watch| watch.age(now)),
            Phase::Starting { .. } => None,
            Phase::Killed { .. } => self.killed_with,
        }
    }
}

fn doomed(watch: &mut Watch, activity: Activity, turn: &Turn<'_>) -> Option<KillReason> {
    watch.examine(activity, turn.now);
    watch.doom(turn.now, turn.policy)
}
