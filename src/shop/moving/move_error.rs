//! Why databases were not moved.

use std::io;

use crate::postgres::PostgresFailure;
use crate::shop::contract::StorageError;
use crate::shop::evidence::audit::AuditError;

/// Why databases were not moved. What was there stays, and the same command can be given again.
#[derive(Debug, thiserror::Error)]
pub(in crate::shop) enum MoveError {
    #[error("{place} is served ({by}): stop the cluster first")]
    Served { place: String, by: String },
    #[error("{0}")]
    Refused(String),
    #[error("the databases are not sound, and are not moved: {0}\n`doctor` says what to do")]
    Unsound(String),
    #[error(
        "{table} of {service} is not the same on both sides ({in_file} rows in the file, {at_postgres} at \
         PostgreSQL): give the move up by a move in the other direction, and begin it again"
    )]
    Unlike {
        service: &'static str,
        table: &'static str,
        in_file: u64,
        at_postgres: u64,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("failed to write the data directory: {0}")]
    Io(#[from] io::Error),
    #[cfg(test)]
    #[error("the move was killed")]
    Killed,
}

impl From<PostgresFailure> for MoveError {
    fn from(failure: PostgresFailure) -> MoveError {
        MoveError::Storage(failure.into())
    }
}
