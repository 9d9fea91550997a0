//! What one master writes down for the next: a version, then everything that the next one cannot find out by itself. Read as if
//! anybody could have written it. Whatever is plain data and no descriptor belongs into [`Kept`], and needs no line here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::luggage::{Fd, Luggage};
use crate::base::ids::{Generation, Incarnation, Life};
use crate::base::time::Monotonic;
use crate::master::control::{AtKill, PackedDesk};
use crate::master::listeners::PackedListeners;
use crate::master::orphans::Record;
use crate::master::process::Tail;
use crate::master::world::Kept;
use crate::pool::Saved;
use crate::pool::saved::difference;
use crate::sys::procfs::Stat;

/// Of everything here. Raised with every change of a field, [`Kept`]'s included; the pool has a version of its own.
pub(super) const VERSION: u32 = 2;

/// No state is larger, in bytes: 1,024 slots with all that is remembered of each come to a third of it.
pub(super) const LARGEST: u64 = 1 << 30;

/// Everything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) version: u32,
    /// Of the program that wrote it, for messages.
    pub(super) written_by: String,
    /// Of the messages that the running workers understand.
    pub(super) lifeline: u32,
    pub(super) pool: Saved,
    pub(super) kept: Kept,
    pub(super) incarnation: Incarnation,
    /// Signals that had arrived and were not dealt with, by number.
    pub(super) signals: Vec<i32>,
    /// Where the next binary of a reload or an upgrade is found.
    pub(super) program: PathBuf,
    /// User and group of the workers, where they are not the master's.
    pub(super) credentials: Option<(u32, u32)>,
    pub(super) data_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) locks: Vec<Fd>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) generations: BTreeMap<Generation, PackedGeneration>,
    pub(super) listeners: PackedListeners,
    pub(super) desk: PackedDesk,
    pub(super) orphans: Vec<PackedOrphan>,
    pub(super) processes: Vec<PackedProcess>,
    pub(super) luggage: Luggage,
}

/// A generation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedGeneration {
    pub(super) binary: Fd,
    pub(super) settings: Fd,
}

/// A living worker of an earlier master.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedOrphan {
    pub(super) place: u32,
    pub(super) record: Record,
    pub(super) pidfd: Fd,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedProcess {
    pub(super) life: Life,
    pub(super) pid: i32,
    pub(super) started: u64,
    pub(super) born: Monotonic,
    pub(super) generation: Generation,
    pub(super) looked: Option<(Monotonic, Stat)>,
    pub(super) leaving: bool,
    pub(super) weighed: Option<Monotonic>,
    pub(super) at_kill: Option<AtKill>,
    pub(super) figures_wanted: Option<u64>,
    pub(super) tail: Tail,
    pub(super) pidfd: Fd,
    pub(super) notify: Fd,
    pub(super) lifeline: Option<Fd>,
    pub(super) stderr: Option<Fd>,
    pub(super) board: Fd,
}

/// Why a text is no state that can be gone on from.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// Another program's.
    #[error("the state is of version {0}, expected {VERSION}")]
    Version(u64),
    /// No JSON, or a field is missing or of another kind.
    #[error("the state cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It was read, and says more or less than a state says.
    #[error("the state is not whole: {0}")]
    Odd(String),
}

/// Only this is looked at before the version is known to be ours.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl State {
    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a state is numbers, texts and lists, which JSON can say")
    }

    /// # Errors
    /// [`StateError`] says what was read and what was expected.
    pub(super) fn parse(text: &[u8]) -> Result<State, StateError> {
        match serde_json::from_slice::<Versioned>(text)?.version {
            version if version == u64::from(VERSION) => {}
            version => return Err(StateError::Version(version)),
        }
        let read: Value = serde_json::from_slice(text)?;
        let state: State = serde_json::from_slice(text)?;
        match difference(&read, &serde_json::to_value(&state)?, "state") {
            None => Ok(state),
            Some(difference) => Err(StateError::Odd(difference)),
        }
    }
}
