//! Writes that a participant makes for its own upkeep, on no order's behalf. It knows neither what they are nor whose.

use crate::store::{Admission, Store, Tx};

/// Runs the job in the writer thread. Whoever asked for it is told in words that name the service: there is nothing to decide on.
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
