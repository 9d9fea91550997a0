//! Moves the databases of a data directory that is not served from files to PostgreSQL, or back: orders,
//! keys, fences, events with their positions, and the ledger of the built-in provider.
//!
//! **A move can be killed at any point.** What is under way stands in `store.json`, so nothing else uses the
//! databases meanwhile, and the same command goes on from there:
//!
//! 1. `store.json` says that a move is under way. A source at PostgreSQL is closed to writers.
//! 2. Each service is copied: into a database in one transaction, or into new files in the directory
//!    `moving`. What a kill leaves of that is not there at all, or is made anew.
//! 3. All rows of both sides are read again and compared, and the audit is run over the new side.
//! 4. `store.json` says that everything is copied. From here on the move can only be finished.
//! 5. The old side is put aside, and stays as it was: `moved-ID` is a data directory for `doctor`.
//! 6. `store.json` names the new side.
//!
//! Until step 4, a move in the other direction gives this one up: what was copied is removed, and the old
//! side is as it was.

use std::path::Path;

use super::engine::MoveTarget;
use super::evidence::blocking;

mod compare;
mod directories;
mod lines;
mod locks;
mod move_error;
mod progress;
mod run;
mod service;
mod sqlite;
mod tables;
mod to_postgres;
mod to_sqlite;

pub(in crate::shop) use move_error::MoveError;
pub(in crate::shop) use progress::MoveProgress;
pub(in crate::shop) use run::{MoveOrder, run};

/// Moves the databases of a data directory that is not served to files, without a word.
///
/// # Errors
/// As [`run`], as text.
pub(crate) fn bring_to_files(data_dir: &Path) -> Result<(), String> {
    let order = MoveOrder {
        data_dir: data_dir.to_owned(),
        to: MoveTarget::Sqlite,
        place: None,
    };
    let moved = blocking::run(|| async { run(&order, &mut |_progress| Ok(())).await });
    let moved = moved.map_err(MoveError::from).and_then(|moved| moved);
    moved.map_err(|error| error.to_string())
}
