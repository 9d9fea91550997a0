//! What is told of a move while it is under way.

use std::path::PathBuf;

use super::move_error::MoveError;

/// Called with each point that a move has reached. What it fails with ends the move.
pub(super) type ProgressHook<'a> = &'a mut dyn FnMut(&MoveProgress) -> Result<(), MoveError>;

/// A point that a move has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) enum MoveProgress {
    /// It stands in the data directory that a move is under way.
    Begun {
        /// Whether it had begun before.
        again: bool,
        /// Where the databases are.
        from: String,
        /// Where they go.
        to: String,
    },
    /// A service was copied.
    Copied {
        /// The service.
        service: &'static str,
        /// Its rows.
        rows: u64,
    },
    /// The new files are complete.
    FilesAreMade,
    /// All rows of a service were read again, and are the same on both sides.
    Compared {
        /// The service.
        service: &'static str,
        /// Its rows.
        rows: u64,
        /// SHA-256 over all of them, in hexadecimal digits.
        digest: String,
    },
    /// The audit found the new side sound.
    Sound {
        /// Orders that are confirmed.
        confirmed: usize,
        /// Orders that are rejected.
        rejected: usize,
        /// Orders that are under way or parked.
        unfinished: usize,
    },
    /// It stands in the data directory that everything is copied.
    AllIsCopied,
    /// A file was moved to another directory.
    Placed {
        /// Its name.
        file: String,
        /// The directory.
        to: PathBuf,
    },
    /// The databases are used where they are now. The old ones can be looked at with this data directory.
    Over {
        /// The directory.
        kept: PathBuf,
    },
    /// Something could not be removed when the move was given up.
    LeftBehind {
        /// What, and why.
        what: String,
    },
    /// Nothing was to be done: the databases are there already.
    AlreadyThere,
    /// The move was given up: the databases are where they were.
    GivenUp,
}
