//! The store's and SQLite's errors in the contract's words.

use rusqlite::ErrorCode;

use crate::shop::contract::StorageError;
use crate::store::{ReadError, WriteError, WriteStall, WriteStallCause};

/// The job's own refusal, or why the store did not carry the job out.
pub(in crate::shop) fn refusal<E: std::fmt::Display>(error: WriteError<E>) -> Result<E, StorageError> {
    match error {
        WriteError::Refused(refusal) => Ok(refusal),
        WriteError::Busy => Err(StorageError::Busy),
        WriteError::Full => Err(StorageError::Full(error.to_string())),
        WriteError::WalKept => Err(StorageError::KeptByReader(error.to_string())),
        WriteError::OtherProgram => Err(StorageError::Locked(error.to_string())),
        WriteError::Failed(_) => Err(StorageError::Stalled(error.to_string())),
        WriteError::Poisoned(reason) => Err(StorageError::Unknown(reason)),
        WriteError::Closed => Err(StorageError::Unavailable(error.to_string())),
        WriteError::Panicked(_) => Err(StorageError::Failed(error.to_string())),
    }
}

impl From<WriteError<rusqlite::Error>> for StorageError {
    fn from(error: WriteError<rusqlite::Error>) -> StorageError {
        match refusal(error) {
            Ok(error) => StorageError::from(error),
            Err(failure) => failure,
        }
    }
}

impl From<WriteStall> for StorageError {
    fn from(WriteStall { cause, reason }: WriteStall) -> StorageError {
        match cause {
            WriteStallCause::DiskFull => StorageError::Full(reason),
            WriteStallCause::WalKept => StorageError::KeptByReader(reason),
            WriteStallCause::OtherProgram => StorageError::Locked(reason),
            WriteStallCause::Failed => StorageError::Stalled(reason),
        }
    }
}

impl From<ReadError> for StorageError {
    fn from(error: ReadError) -> StorageError {
        match error {
            ReadError::Busy => StorageError::Busy,
            ReadError::Closed => StorageError::Unavailable(error.to_string()),
            ReadError::Sqlite(error) => StorageError::from(error),
            ReadError::Panicked(_) => StorageError::Failed(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> StorageError {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::SchemaChanged) => {
                StorageError::Unusable(reason)
            }
            Some(ErrorCode::DiskFull) => StorageError::Full(reason),
            Some(ErrorCode::SystemIoFailure) => StorageError::DiskFailed(reason),
            // No descriptor is left to open the file with, as a rule: it was there when the worker booted.
            Some(ErrorCode::CannotOpen) => StorageError::Unavailable(reason),
            Some(ErrorCode::PermissionDenied) => StorageError::NotPermitted(reason),
            Some(ErrorCode::DatabaseBusy) => StorageError::Locked(reason),
            Some(_) | None => StorageError::Failed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_now_is_no_fault_of_this_program() {
        let nowhere = rusqlite::Connection::open_with_flags(
            "/proc/self/nowhere/orders.db",
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        );
        let error = StorageError::from(nowhere.unwrap_err());
        assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
        assert!(error.is_passing());
    }
}
