//! What the shop has to answer for: failures of its stores as problem documents. The client learns what to
//! do, the log learns why.

use http::StatusCode;

use crate::http::Problem;
use crate::shop::contract::{StorageError, TimelineError};
use crate::shop::orders::PlaceError;

/// The seconds until it is worth trying again.
const RETRY_AFTER_SECS: u32 = 1;

/// 503 with `Retry-After`: nothing was written.
pub(super) fn overloaded() -> Problem {
    let detail = "too much is under way; nothing was done, and it can be tried again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(RETRY_AFTER_SECS)
}

/// 507: nothing was written. The log names the file, once.
fn no_room(why: &str) -> Problem {
    let detail = format!("{why}; nothing was done, and it can be tried again");
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", detail)
        .retry_after(RETRY_AFTER_SECS)
}

/// 503: nothing was written. The log names the file, once.
fn locked() -> Problem {
    let detail = "another program has locked a database; nothing was done, and it can be tried again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database_locked", detail).retry_after(RETRY_AFTER_SECS)
}

/// 503: this worker's store is out of service; another worker, or this one a moment later, can answer.
fn out_of_service() -> Problem {
    let detail = "the store is out of service for the moment; it can be tried again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail).retry_after(RETRY_AFTER_SECS)
}

/// A transaction that failed.
pub(super) fn storage(error: StorageError) -> Problem {
    match error {
        StorageError::Busy => overloaded(),
        StorageError::Full(_) => no_room("there is no room on the disk"),
        StorageError::KeptByReader(_) => no_room(
            "the rest of the disk is kept, because it is needed to empty the write-ahead log of a database",
        ),
        StorageError::Locked(_) => locked(),
        StorageError::Stalled(_) => out_of_service(),
        StorageError::Unavailable(reason) => not_reached(&reason),
        StorageError::Unknown(reason) => unavailable(&reason),
        StorageError::NotPermitted(reason)
        | StorageError::DiskFailed(reason)
        | StorageError::Unusable(reason)
        | StorageError::Failed(reason) => internal(&reason),
    }
}

/// 422: the key stands for another request.
pub(super) fn key_reused() -> Problem {
    let detail = "this Idempotency-Key was used with another request; use a new key for a new request";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// An order that was not placed.
pub(super) fn place(error: PlaceError) -> Problem {
    match error {
        PlaceError::KeyReused => key_reused(),
        PlaceError::TooMany => overloaded(),
        PlaceError::Fenced => unavailable(&error.to_string()),
        PlaceError::Storage(error) => storage(error),
    }
}

/// A service that cannot read what it did.
pub(super) fn timeline(error: &TimelineError) -> Problem {
    internal(&error.0)
}

/// 503 as [`out_of_service`], with the reason, which whoever noticed it first has logged.
fn not_reached(reason: &str) -> Problem {
    tracing::debug!(reason, "the store did not answer a request");
    let detail = format!("the store is out of service for the moment ({reason}); it can be tried again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail).retry_after(RETRY_AFTER_SECS)
}

/// 503 as [`out_of_service`], for a reason that nobody has logged.
pub(super) fn unavailable(reason: &str) -> Problem {
    tracing::error!(reason, "the store did not answer a request");
    out_of_service()
}

/// 500: the reason stays in the log.
pub(super) fn internal(reason: &str) -> Problem {
    tracing::error!(reason, "a request failed inside");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "this should not have happened; it is in the log",
    )
}
