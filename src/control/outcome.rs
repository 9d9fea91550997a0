//! How something that was asked for ended, as it stands on the wire: the pool's verdict with its times in
//! milliseconds. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::ids::{Generation, Life, Slot};
use crate::pool;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Done {
    /// Every slot runs the new generation.
    Reloaded(Rolled),
    /// Every slot runs the generation before it again.
    RolledBack(Rolled),
    /// There are so many slots now.
    Scaled {
        /// Before.
        from: u16,
        /// Now.
        to: u16,
    },
    /// A slot has a new worker.
    Restarted {
        /// Which.
        slot: Slot,
        /// Who was in it.
        from: Option<Life>,
        /// Who is.
        to: Life,
        /// From the request to the hand-over.
        after_ms: u64,
    },
    /// A slot's worker has gone, and the slot stays empty.
    Drained {
        /// Which.
        slot: Slot,
        /// Who was in it.
        life: Option<Life>,
        /// How long it took.
        after_ms: u64,
    },
    /// The master runs the binary that was on disk, with the same workers.
    Upgraded {
        /// The version of that binary.
        to: String,
        /// From the request's beginning to the new master's.
        after_ms: u64,
    },
    /// The cluster has ended.
    Stopped {
        /// Whether every request was answered.
        whole: bool,
    },
}

/// A rollout that went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    /// What every slot runs now.
    pub generation: Generation,
    /// What it ran before.
    pub from: Generation,
    /// From the request to its end.
    pub after_ms: u64,
    /// One entry for each slot that was replaced, in the order it happened.
    pub slots: Vec<Replaced>,
}

/// One slot's part of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Which.
    pub slot: Slot,
    /// Who took it over.
    pub life: Life,
    /// From its fork to its READY.
    pub ready_after_ms: u64,
    /// From the rollout's beginning to the hand-over.
    pub replaced_after_ms: u64,
}

/// Something that was begun and came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why, in words.
    pub reason: String,
    /// Why, for programs.
    pub cause: pool::Failure,
    /// The generation that was tried.
    pub generation: Generation,
    /// Since it was begun.
    pub after_ms: u64,
    /// The slots that had been replaced by then; they were given back.
    pub slots: Vec<Replaced>,
    /// The last lines that the worker it failed with wrote to stderr.
    pub stderr: Vec<String>,
}

/// A duration as the wire has it.
#[must_use]
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<pool::Done> for Done {
    fn from(done: pool::Done) -> Done {
        match done {
            pool::Done::Reloaded(rolled) => Done::Reloaded(rolled.into()),
            pool::Done::RolledBack(rolled) => Done::RolledBack(rolled.into()),
            pool::Done::Scaled { from, to } => Done::Scaled { from, to },
            pool::Done::Restarted {
                slot,
                from,
                to,
                after,
            } => Done::Restarted {
                slot,
                from,
                to,
                after_ms: ms(after),
            },
            pool::Done::Drained { slot, life, after } => Done::Drained {
                slot,
                life,
                after_ms: ms(after),
            },
            pool::Done::Upgraded { version, after } => Done::Upgraded {
                to: version,
                after_ms: ms(after),
            },
            pool::Done::Stopped { outcome } => Done::Stopped {
                whole: outcome == pool::Outcome::Stopped,
            },
        }
    }
}

impl From<pool::Rolled> for Rolled {
    fn from(rolled: pool::Rolled) -> Rolled {
        Rolled {
            generation: rolled.generation,
            from: rolled.from,
            after_ms: ms(rolled.after),
            slots: rolled.slots.into_iter().map(Replaced::from).collect(),
        }
    }
}

impl From<pool::Replaced> for Replaced {
    fn from(replaced: pool::Replaced) -> Replaced {
        Replaced {
            slot: replaced.slot,
            life: replaced.life,
            ready_after_ms: ms(replaced.ready_after),
            replaced_after_ms: ms(replaced.replaced_after),
        }
    }
}
