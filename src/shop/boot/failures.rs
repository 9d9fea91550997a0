//! How a boot that fails ends the worker: the exit code and the reason of each failure.

use std::io;

use crate::base::exit::Exit;
use crate::shop::contract::StorageError;
use crate::shop::evidence::consistency::Inconsistent;
use crate::shop::inventory::catalog::CatalogError;
use crate::store::OpenError;
use crate::sys::limits;
use crate::worker::{BootError, BootRefused};

pub(super) fn inconsistent(error: Inconsistent) -> BootError {
    match error {
        Inconsistent::Lost { .. }
        | Inconsistent::Emptied { .. }
        | Inconsistent::Counter { .. }
        | Inconsistent::Repeated { .. }
        | Inconsistent::Mixed { .. } => BootRefused {
            exit: Exit::BadData,
            reason: error.to_string(),
        }
        .into(),
        // The lease of the other one ends if it is not there any more.
        Inconsistent::TwoHosts { .. } => StorageError::Unavailable(error.to_string()).into(),
        Inconsistent::Read(error) => error.into(),
    }
}

/// The error when no thread could be started. The user's limit of processes counts threads, too.
pub(super) fn no_thread(error: io::Error) -> BootError {
    BootRefused {
        exit: Exit::NoResources,
        reason: format!(
            "a thread to open a database could not be started: {error}; every worker needs some (look at ulimit -u, TasksMax=, \
             pids.max)"
        ),
    }
    .into()
}

/// The error when the file that tells readers of events is not to be had.
pub(super) fn no_signal(error: io::Error) -> BootError {
    let exit = if limits::is_exhaustion(&error) {
        Exit::NoResources
    } else {
        Exit::Unwritable
    };
    let reason = format!("events.signal in the data directory cannot be opened: {error}");
    BootRefused { exit, reason }.into()
}

pub(super) fn bad_catalog(error: CatalogError) -> BootError {
    BootRefused {
        exit: Exit::BadConfig,
        reason: error.to_string(),
    }
    .into()
}

/// A fault that an operator has to mend ends the worker, and then the master, with its own exit code.
pub(super) fn unusable_store(error: OpenError) -> BootError {
    let exit = match error {
        OpenError::Directory { .. } | OpenError::ReadOnly { .. } | OpenError::NetworkFileSystem { .. } => {
            Exit::Unwritable
        }
        OpenError::NotADatabase { .. }
        | OpenError::Foreign { .. }
        | OpenError::Newer { .. }
        | OpenError::Missing { .. }
        | OpenError::NotAFile { .. }
        | OpenError::Incomplete { .. }
        | OpenError::Corrupt { .. } => Exit::BadData,
        // The store could not start its thread, or open a file.
        OpenError::Io { ref reason, .. } if limits::is_exhaustion(reason) => Exit::NoResources,
        OpenError::Sqlite { .. } | OpenError::Io { .. } => Exit::DiskFailed,
        OpenError::OldSqlite { .. } | OpenError::Migration { .. } => Exit::BootFailed,
    };
    BootRefused {
        exit,
        reason: error.to_string(),
    }
    .into()
}
