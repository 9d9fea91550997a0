//! What is ours to answer for: the store's errors as problem documents. The client learns what to do, the log learns why.

use http::StatusCode;

use crate::http::Problem;
use crate::shop::contract::TimelineError;
use crate::shop::orders::PlaceError;
use crate::store::{ReadError, WriteError};

/// Seconds until it is worth trying again.
const SOON: u32 = 1;

/// 503 with `Retry-After`: nothing was written.
pub(super) fn overloaded() -> Problem {
    let detail = "too much is under way; nothing was done, and it can be tried again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(SOON)
}

/// A write that did not happen. `refused` answers the job's own refusal.
pub(super) fn write<E>(error: WriteError<E>, refused: impl FnOnce(E) -> Problem) -> Problem {
    match error {
        WriteError::Refused(error) => refused(error),
        WriteError::Busy => overloaded(),
        WriteError::Full => no_room(),
        WriteError::Poisoned(reason) | WriteError::Failed(reason) => unavailable(&reason),
        WriteError::Closed => unavailable("the store is closed"),
        WriteError::Panicked(reason) => internal(&reason),
    }
}

/// 507: nothing was written. Which file it is stands in the log, once.
fn no_room() -> Problem {
    let detail = "there is no room on the disk; nothing was done, and it can be tried again";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", detail).retry_after(SOON)
}

/// A read that gave nothing.
pub(super) fn read(error: ReadError) -> Problem {
    match error {
        ReadError::Busy => overloaded(),
        ReadError::Closed => unavailable("the store is closed"),
        ReadError::Sqlite(error) => internal(&error.to_string()),
        ReadError::Panicked(reason) => internal(&reason),
    }
}

/// An order that was not placed, for a reason of ours.
pub(super) fn place(error: PlaceError) -> Problem {
    match error {
        PlaceError::KeyReused => {
            let detail =
                "this Idempotency-Key was used with another request; use a new key for a new request";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
        }
        PlaceError::TooMany => overloaded(),
        PlaceError::NoRoom => no_room(),
        PlaceError::Fenced => unavailable(&error.to_string()),
        PlaceError::Store(error) => write(error, |error| internal(&error.to_string())),
    }
}

/// A service that could not tell what it did.
pub(super) fn story(error: &TimelineError) -> Problem {
    internal(&error.0)
}

/// 503: this worker's store is out of service; another worker, or this one a moment later, will do.
pub(super) fn unavailable(reason: &str) -> Problem {
    tracing::error!(reason, "the store did not answer a request");
    let detail = "the store is out of service for the moment; it can be tried again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail).retry_after(SOON)
}

/// 500: nothing of the inside goes out.
pub(super) fn internal(reason: &str) -> Problem {
    tracing::error!(reason, "a request failed inside");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "this should not have happened; it is in the log",
    )
}
