//! The operation under way. At most one is: a rollout, the replacement of one worker, or an upgrade of the
//! master. What an operation needs stands in its variant, so that nothing of it is left when it ends.

use serde::{Deserialize, Serialize};

use super::context::RolloutContext;
use super::rollout::{GenerationChange, Progress, Rollout, RolloutEvent, RolloutStep};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::millis;
use crate::base::time::Monotonic;
use crate::pool::protocol::certificate::Purpose;
use crate::pool::protocol::event::{Request, Ticket};
use crate::pool::protocol::verdict::{Done, Failure, Replaced, Rolled, Verdict};
use crate::pool::worker::pool_worker::PoolWorker;

/// What is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum Operation {
    #[default]
    None,
    Rollout(RolloutOperation),
    Replace(ReplaceOperation),
    Upgrade(UpgradeOperation),
}

/// The rollout of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RolloutOperation {
    pub(in crate::pool) rollout: Rollout,
    /// A worker of the new generation (when the rollout is undone: of the old one) that is to take over its
    /// slot.
    pub(in crate::pool) replacement: Option<PoolWorker>,
    pub(in crate::pool) waiters: RolloutWaiters,
    /// The slots that were replaced, in the order it happened.
    pub(in crate::pool) replaced: Vec<Replaced>,
}

/// The clients that wait for the end of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RolloutWaiters {
    pub(in crate::pool) tickets: Vec<Ticket>,
    /// Whether they asked for the previous generation.
    pub(in crate::pool) is_rollback: bool,
}

/// The replacement of one slot's worker by another one of the same generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct ReplaceOperation {
    pub(in crate::pool) slot: Slot,
    pub(in crate::pool) purpose: Purpose,
    /// The worker that was in the slot when the operation began.
    pub(in crate::pool) from: Option<Life>,
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) started: Monotonic,
    /// The worker that is to take over the slot.
    pub(in crate::pool) replacement: Option<PoolWorker>,
    pub(in crate::pool) waiters: Vec<Ticket>,
}

/// The upgrade of the master to the binary on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct UpgradeOperation {
    pub(in crate::pool) stage: UpgradeStage,
    pub(in crate::pool) started: Monotonic,
    pub(in crate::pool) waiters: Vec<Ticket>,
}

/// How far an upgrade has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum UpgradeStage {
    /// The new binary is to be asked whether it could go on from here, once every worker has been started.
    ToRehearse,
    /// The new binary was asked.
    Rehearsing,
    /// The new binary could go on from here, and is to be executed, once nothing else is under way in the
    /// shell.
    ToHandOver,
    /// The new binary is executed.
    HandingOver,
}

/// What came of one event of a rollout.
pub(in crate::pool) enum Advanced {
    /// It goes on, and this is to be done.
    Continues(RolloutOperation, Option<RolloutStep>),
    /// Every slot runs the new generation.
    Finished(GenerationChange, RolloutOperation),
    /// The old generation is whole; the new one is given up for this reason.
    BackedOut(GenerationChange, RolloutOperation, Failure),
}

impl Operation {
    /// Whether another operation may begin.
    pub(in crate::pool) fn is_none(&self) -> bool {
        matches!(self, Operation::None)
    }

    pub(in crate::pool) fn rollout(&self) -> Option<&Rollout> {
        match self {
            Operation::Rollout(operation) => Some(&operation.rollout),
            Operation::None | Operation::Replace(_) | Operation::Upgrade(_) => None,
        }
    }

    pub(in crate::pool) fn rollout_operation(&self) -> Option<&RolloutOperation> {
        match self {
            Operation::Rollout(operation) => Some(operation),
            Operation::None | Operation::Replace(_) | Operation::Upgrade(_) => None,
        }
    }

    pub(in crate::pool) fn rollout_mut(&mut self) -> Option<&mut RolloutOperation> {
        match self {
            Operation::Rollout(operation) => Some(operation),
            Operation::None | Operation::Replace(_) | Operation::Upgrade(_) => None,
        }
    }

    /// The worker that is to take over a slot.
    pub(in crate::pool) fn replacement(&self) -> Option<&PoolWorker> {
        match self {
            Operation::Rollout(operation) => operation.replacement.as_ref(),
            Operation::Replace(operation) => operation.replacement.as_ref(),
            Operation::None | Operation::Upgrade(_) => None,
        }
    }

    pub(in crate::pool) fn replacement_mut(&mut self) -> Option<&mut PoolWorker> {
        self.place_of_replacement()?.as_mut()
    }

    pub(in crate::pool) fn take_replacement(&mut self) -> Option<PoolWorker> {
        self.place_of_replacement()?.take()
    }

    fn place_of_replacement(&mut self) -> Option<&mut Option<PoolWorker>> {
        match self {
            Operation::Rollout(operation) => Some(&mut operation.replacement),
            Operation::Replace(operation) => Some(&mut operation.replacement),
            Operation::None | Operation::Upgrade(_) => None,
        }
    }

    /// Ends a rollout, if one is under way.
    pub(in crate::pool) fn take_rollout(&mut self) -> Option<RolloutOperation> {
        match std::mem::take(self) {
            Operation::Rollout(operation) => Some(operation),
            other @ (Operation::None | Operation::Replace(_) | Operation::Upgrade(_)) => {
                *self = other;
                None
            }
        }
    }

    /// Ends the replacement of a worker, if one is under way.
    pub(in crate::pool) fn take_replace(&mut self) -> Option<ReplaceOperation> {
        match std::mem::take(self) {
            Operation::Replace(operation) => Some(operation),
            other @ (Operation::None | Operation::Rollout(_) | Operation::Upgrade(_)) => {
                *self = other;
                None
            }
        }
    }

    /// Ends an upgrade, if one is under way.
    pub(in crate::pool) fn take_upgrade(&mut self) -> Option<UpgradeOperation> {
        match std::mem::take(self) {
            Operation::Upgrade(operation) => Some(operation),
            other @ (Operation::None | Operation::Rollout(_) | Operation::Replace(_)) => {
                *self = other;
                None
            }
        }
    }

    /// How many clients wait for the end of a rollout.
    pub(in crate::pool) fn rollout_waiters(&self) -> usize {
        match self {
            Operation::Rollout(operation) => operation.waiters.tickets.len(),
            Operation::None | Operation::Replace(_) | Operation::Upgrade(_) => 0,
        }
    }
}

impl RolloutOperation {
    /// A rollout that begins.
    pub(in crate::pool) fn new(
        rollout: Rollout,
        tickets: Vec<Ticket>,
        is_rollback: bool,
    ) -> RolloutOperation {
        RolloutOperation {
            rollout,
            replacement: None,
            waiters: RolloutWaiters { tickets, is_rollback },
            replaced: Vec::new(),
        }
    }

    /// Shows the rollout one event.
    pub(in crate::pool) fn advance(self, event: RolloutEvent, context: RolloutContext<'_>) -> Advanced {
        let change = self.rollout.change();
        match self.rollout.clone().step(event, context) {
            Progress::Continues(rollout, step) => {
                Advanced::Continues(RolloutOperation { rollout, ..self }, step)
            }
            Progress::Finished => Advanced::Finished(change, self),
            Progress::BackedOut(reason) => Advanced::BackedOut(change, self, reason),
        }
    }

    /// The request that began the rollout.
    pub(in crate::pool) fn request(&self) -> Request {
        if self.waiters.is_rollback {
            Request::Rollback
        } else {
            Request::Reload
        }
    }

    /// The replacement takes over its slot now, and why the slot's former worker goes.
    pub(in crate::pool) fn hand_over(&mut self, now: Monotonic) -> Option<(PoolWorker, Purpose)> {
        let worker = self.replacement.take()?;
        match &self.rollout {
            Rollout::Undoing { .. } => return Some((worker, Purpose::BackOut)),
            Rollout::Rolling { change, .. } => {
                let replaced = replaced(&worker, *change, now);
                self.replaced.push(replaced);
            }
            Rollout::Loading(_) | Rollout::Booting(_) | Rollout::Baking { .. } => {}
        }
        Some((worker, Purpose::Reload))
    }

    /// What the clients are told when every slot runs the new generation.
    pub(in crate::pool) fn done(
        self,
        change: GenerationChange,
        runs_programs: bool,
        now: Monotonic,
    ) -> (Vec<Ticket>, Done) {
        let rolled = Rolled {
            generation: change.target,
            from: change.from,
            after: now.since(change.started),
            slots: self.replaced,
            runs_programs,
        };
        let done = if self.waiters.is_rollback {
            Done::RolledBack(rolled)
        } else {
            Done::Reloaded(rolled)
        };
        (self.waiters.tickets, done)
    }

    /// What the clients are told when the new generation was given up.
    pub(in crate::pool) fn failed(
        self,
        change: GenerationChange,
        reason: Failure,
        now: Monotonic,
    ) -> (Vec<Ticket>, Verdict) {
        let verdict = Verdict::Failed {
            reason,
            generation: change.target,
            after: now.since(change.started),
            slots: self.replaced,
        };
        (self.waiters.tickets, verdict)
    }
}

/// Its times are whole milliseconds, because a saved pool has them as such.
fn replaced(worker: &PoolWorker, change: GenerationChange, now: Monotonic) -> Replaced {
    let ready_after = worker.ready_at.map(|ready| ready.since(worker.started));
    Replaced {
        slot: worker.life.slot,
        life: worker.life,
        ready_after: millis::whole(ready_after.unwrap_or_default()),
        replaced_after: millis::whole(now.since(change.started)),
    }
}

impl ReplaceOperation {
    /// Whether the replacement is ready and beats.
    pub(in crate::pool) fn is_ready(&self) -> bool {
        self.replacement.as_ref().is_some_and(PoolWorker::is_serving)
    }

    /// What the clients are told when `to` has taken over the slot.
    pub(in crate::pool) fn done(&self, to: Life, now: Monotonic) -> Verdict {
        Verdict::Done(Done::Restarted {
            slot: self.slot,
            from: self.from,
            to,
            after: now.since(self.started),
        })
    }

    /// What the clients are told when the slot keeps its worker.
    pub(in crate::pool) fn failed(&self, reason: Failure, now: Monotonic) -> Verdict {
        Verdict::Failed {
            reason,
            generation: self.generation,
            after: now.since(self.started),
            slots: Vec::new(),
        }
    }
}
