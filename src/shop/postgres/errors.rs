//! The failures of PostgreSQL in the contract's words.

use crate::postgres::PostgresFailure;
use crate::shop::contract::StorageError;

impl From<PostgresFailure> for StorageError {
    fn from(failure: PostgresFailure) -> StorageError {
        match failure {
            PostgresFailure::Busy => StorageError::Busy,
            PostgresFailure::Unreachable(reason) | PostgresFailure::Refusing(reason) => {
                StorageError::Unavailable(reason)
            }
            PostgresFailure::Full(reason) => StorageError::Full(reason),
            PostgresFailure::Conflict(reason) => StorageError::Locked(reason),
            PostgresFailure::NotPermitted(reason) => StorageError::NotPermitted(reason),
            PostgresFailure::Unusable(reason) => StorageError::Unusable(reason),
            PostgresFailure::Fenced => StorageError::Unavailable(failure.to_string()),
            PostgresFailure::Unknown(reason) => StorageError::Unknown(reason),
            PostgresFailure::Failed(reason) => StorageError::Failed(reason),
        }
    }
}
