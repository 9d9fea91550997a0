//! The answer to a request at its end: done, refused before it began, or failed on the way, with the reason
//! as a value rather than a sentence.
//!
//! The JSON of [`Done`], [`Replaced`] and [`Failure`] is what a client of the control socket reads. It is a
//! contract, which a test in `control::reply` holds: types of its own for the wire would say everything
//! twice.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Outcome, ProcessExit};
use crate::base::ids::{Generation, Life, Slot};
use crate::base::millis;

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done as asked.
    Done(Done),
    /// Nothing was begun.
    Refused {
        /// What was asked for, and what was expected.
        reason: String,
    },
    /// It was begun, and everything is as it was before.
    Failed {
        /// Why it failed.
        reason: Failure,
        /// The generation that was tried.
        generation: Generation,
        /// The time since it was begun.
        after: Duration,
        /// The slots that had been replaced by then (they went back to the old generation).
        slots: Vec<Replaced>,
    },
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Done {
    /// Every slot runs the new generation.
    Reloaded(Rolled),
    /// Every slot runs the previous generation again.
    RolledBack(Rolled),
    /// The number of slots changed, and every added slot serves.
    Scaled {
        /// The number of slots before.
        from: u16,
        /// The number of slots now.
        to: u16,
    },
    /// A slot has a new worker.
    Restarted {
        /// The number of the slot.
        slot: Slot,
        /// The worker that was in it, if there was one.
        from: Option<Life>,
        /// The worker that is in it.
        to: Life,
        /// Time from the request's beginning to the hand-over.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
    },
    /// A slot's worker is gone, and the slot stays empty until it is restarted.
    Drained {
        /// The number of the slot.
        slot: Slot,
        /// The worker that was in it, if there was one.
        life: Option<Life>,
        /// Time from the request's beginning to the worker's exit.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
    },
    /// The master runs the binary that was on disk. The workers are the same as before.
    Upgraded {
        /// The version of that binary.
        #[serde(rename = "to")]
        version: String,
        /// Time from the request's beginning to the new master's.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
    },
    /// The cluster has ended.
    Stopped {
        /// How it ended; the JSON says whether nothing was cut, as far as is known.
        #[serde(rename = "whole", with = "whole")]
        outcome: Outcome,
        /// Whether requests are counted, so that `whole` says of each that it was answered. Those of programs
        /// are not.
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        counted: bool,
    },
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_true(value: &bool) -> bool {
    *value
}

/// How a stop ended, as a client reads it: whether nothing was cut.
mod whole {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::pool::Outcome;

    pub(super) fn serialize<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*outcome == Outcome::Stopped)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
        let whole = bool::deserialize(deserializer)?;
        Ok(if whole { Outcome::Stopped } else { Outcome::Cut })
    }
}

/// A rollout that went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    /// The generation that every slot runs now.
    pub generation: Generation,
    /// The generation that every slot ran before.
    pub from: Generation,
    /// Time from the request's beginning to its end.
    #[serde(rename = "after_ms", with = "millis")]
    pub after: Duration,
    /// One entry per slot that was replaced, in the order it happened.
    pub slots: Vec<Replaced>,
    /// Whether the workers run programs, of which a generation has the command and not the files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_programs: bool,
}

/// One slot's part of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The number of the slot.
    pub slot: Slot,
    /// The worker that took it over.
    pub life: Life,
    /// Time from its fork to its READY.
    #[serde(rename = "ready_after_ms", with = "millis")]
    pub ready_after: Duration,
    /// Time from the rollout's beginning to the hand-over.
    #[serde(rename = "replaced_after_ms", with = "millis")]
    pub replaced_after: Duration,
}

/// Answers of one generation while a canary is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The number of requests that were answered.
    pub requests: u64,
    /// The number of those requests that were answered with 5xx.
    pub server_errors: u64,
    /// The number of other connections, told 503 for want of room before any request was read.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refused: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Share {
    /// Everything a client got an answer to: requests, and connections told 503 at the door.
    #[must_use]
    pub fn answers(self) -> u64 {
        self.requests.saturating_add(self.refused)
    }

    /// Of those, 5xx.
    #[must_use]
    pub fn errors(self) -> u64 {
        self.server_errors.saturating_add(self.refused)
    }

    /// This and another one's.
    #[must_use]
    pub fn and(self, other: Share) -> Share {
        Share {
            requests: self.requests.saturating_add(other.requests),
            server_errors: self.server_errors.saturating_add(other.server_errors),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} with 5xx", self.errors(), self.answers())?;
        match self.refused {
            0 => Ok(()),
            refused => write!(f, " ({refused} at the door, for want of room)"),
        }
    }
}

/// Why something that was begun came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "failure")]
pub enum Failure {
    /// The configuration cannot be read, has mistakes, or changes what a reload cannot.
    BadConfiguration {
        /// The shell's words, with line and key.
        reason: String,
    },
    /// The binary cannot be opened.
    BadBinary {
        /// The shell's words.
        reason: String,
    },
    /// The system refused to start the worker.
    SpawnFailed {
        /// The life that the worker would have had.
        life: Life,
        /// The system's words.
        reason: String,
    },
    /// The worker ended before it was ready. The shell adds its last words.
    ExitedAtBoot {
        /// The life of the worker.
        life: Life,
        /// How its process ended.
        exit: ProcessExit,
    },
    /// The worker was not ready within `ready_timeout` and was killed.
    NeverReady {
        /// The life of the worker.
        life: Life,
    },
    /// The worker ended while it was watched.
    DiedBaking {
        /// The life of the worker.
        life: Life,
        /// How its process ended.
        exit: ProcessExit,
    },
    /// The worker hung and was killed.
    Hung {
        /// The life of the worker.
        life: Life,
    },
    /// The worker said STOPPING without having been asked.
    WentByItself {
        /// The life of the worker.
        life: Life,
    },
    /// The worker answered with a worse share of 5xx than the old generation at the same time.
    AnswersWorse {
        /// The life of the worker.
        life: Life,
        /// The answers of the worker.
        new: Share,
        /// The answers of the old generation.
        old: Share,
    },
    /// The worker said READY, and its own readiness says otherwise, or nothing.
    ReadinessFailed {
        /// The life of the worker.
        life: Life,
        /// The worker's words.
        reason: String,
    },
    /// This many workers of the new generation in a row died early in one slot.
    KeepsDying {
        /// The number of workers.
        tries: u32,
    },
    /// The slot of the request was removed.
    SlotRemoved {
        /// The number of the slot.
        slot: Slot,
    },
    /// The system refused to execute the new master, which had rehearsed well.
    NotExecuted {
        /// The system's words.
        reason: String,
    },
    /// The cluster stops.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::BadConfiguration { reason } | Failure::BadBinary { reason } => f.write_str(reason),
            Failure::SpawnFailed { life, reason } => {
                write!(f, "worker {life} could not be started: {reason}")
            }
            Failure::ExitedAtBoot { life, exit } => write!(f, "worker {life} {exit} before it was ready"),
            Failure::NeverReady { life } => write!(f, "worker {life} was not ready in time and was killed"),
            Failure::DiedBaking { life, exit } => write!(f, "worker {life} {exit} while it was watched"),
            Failure::Hung { life } => write!(f, "worker {life} hung and was killed"),
            Failure::WentByItself { life } => write!(f, "worker {life} went by itself"),
            Failure::AnswersWorse { life, new, old } => {
                write!(f, "worker {life} answers worse: {new}, the old generation {old}")
            }
            Failure::ReadinessFailed { life, reason } => {
                write!(
                    f,
                    "worker {life} said READY but its readiness does not hold: {reason}"
                )
            }
            Failure::KeepsDying { tries } => {
                write!(f, "{tries} workers of it in a row died early in one slot")
            }
            Failure::SlotRemoved { slot } => write!(f, "slot {slot} was removed meanwhile"),
            Failure::NotExecuted { reason } => {
                write!(f, "the new master could not be executed: {reason}")
            }
            Failure::Stopped => f.write_str("the cluster stops"),
        }
    }
}
