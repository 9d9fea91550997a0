//! Upgrades of the master itself: the binary on disk rehearses, and if it could go on from here, it takes over. Nothing that an
//! upgrade must not be mixed with is begun meanwhile; deaths and hangs are dealt with as ever. How it is done is the shell's.

use serde::{Deserialize, Serialize};

use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, SystemdState};
use super::protocol::event::{Request, Ticket};
use super::protocol::verdict::{Done, Failure, Verdict};
use super::requests::queue::{answer, refuse};
use crate::base::time::Monotonic;

/// One that is under way, with those who wait for its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upgrade {
    tickets: Vec<Ticket>,
    started: Monotonic,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The new binary is asked whether it could go on from here.
    Rehearsing,
    /// It could, and is to.
    HandingOver,
}

impl Pool {
    /// The shell is to hand this pool and everything else over to the binary that has rehearsed, as soon as every effect so far
    /// has been performed. The new master says [`super::Event::Upgraded`] first of all; so does the old one if it could not.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        self.upgrade
            .as_ref()
            .is_some_and(|upgrade| upgrade.stage == Stage::HandingOver)
    }

    pub(super) fn begin_upgrade(&mut self, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        self.upgrade = Some(Upgrade {
            tickets,
            started: self.now,
            stage: Stage::Rehearsing,
        });
        announce(Announcement::UpgradeStarted, effects);
        if self.milestones.told_ready {
            effects.push(Effect::Tell(SystemdState::Reloading));
        }
        effects.push(Effect::Rehearse);
    }

    /// The new binary could, or could not. Nobody waits for it any more: dropped.
    pub(super) fn rehearsed(&mut self, verdict: Result<(), String>, effects: &mut Vec<Effect>) {
        match (self.upgrade.take(), verdict) {
            (Some(upgrade), Ok(())) => {
                announce(
                    Announcement::HandingOver {
                        after: self.now.since(upgrade.started),
                    },
                    effects,
                );
                self.upgrade = Some(Upgrade {
                    stage: Stage::HandingOver,
                    ..upgrade
                });
            }
            (Some(Upgrade { tickets, .. }), Err(reason)) => {
                self.tell_reloaded(effects);
                refuse(&tickets, Request::Upgrade, reason, effects);
            }
            (None, Ok(()) | Err(_)) => {}
        }
    }

    /// The new binary goes on from here as this version, or could not be executed.
    pub(super) fn upgraded(&mut self, verdict: Result<String, String>, effects: &mut Vec<Effect>) {
        let Some(Upgrade { tickets, started, .. }) = self.upgrade.take() else {
            return;
        };
        let after = self.now.since(started);
        self.tell_reloaded(effects);
        let verdict = match verdict {
            Ok(version) => {
                announce(
                    Announcement::Upgraded {
                        version: version.clone(),
                        after,
                    },
                    effects,
                );
                Verdict::Done(Done::Upgraded { version, after })
            }
            Err(reason) => {
                announce(
                    Announcement::NotUpgraded {
                        reason: reason.clone(),
                    },
                    effects,
                );
                self.failed_upgrade(Failure::NotExecuted { reason }, started)
            }
        };
        answer(&tickets, &verdict, effects);
    }

    /// The cluster stops, so nobody needs another master.
    pub(super) fn no_upgrade(&mut self, effects: &mut Vec<Effect>) {
        if let Some(Upgrade { tickets, started, .. }) = self.upgrade.take() {
            answer(&tickets, &self.failed_upgrade(Failure::Stopped, started), effects);
        }
    }

    fn failed_upgrade(&self, reason: Failure, started: Monotonic) -> Verdict {
        Verdict::Failed {
            reason,
            generation: self.current,
            after: self.now.since(started),
            slots: Vec::new(),
        }
    }

    /// Whether one is under way and the cluster serves.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        self.upgrade.is_some() && self.mode == Mode::Running
    }
}
