//! Writes that a participant makes for its own upkeep, on no order's behalf, and what a write that failed is
//! called in the contract. It knows neither what they are nor whose.

use super::contract::CommandOutcome;
use crate::store::{Admission, Store, Tx, WriteError};

/// A command's write that did not happen (or, with a store that is out of service, may have: the command is
/// asked again either way).
pub(super) fn outcome(service: &str, error: &WriteError<rusqlite::Error>) -> CommandOutcome {
    let says = format!("{service}: {error}");
    if error.is_a_stall() {
        CommandOutcome::Stalled(says)
    } else {
        CommandOutcome::Unknown(says)
    }
}

/// Runs the job in the writer thread. Whoever asked for it is told in words that name the service: there is
/// nothing to decide on.
///
/// # Errors
/// The store's words; nothing was written then, unless the store is out of service.
pub(super) async fn write(
    store: &Store,
    service: &str,
    job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<()> + Send + 'static,
) -> Result<(), String> {
    let done = store.write(Admission::Continue, job).await;
    done.map_err(|error| format!("{service}: {error}"))
}
