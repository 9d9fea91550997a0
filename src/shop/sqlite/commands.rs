//! Commands of sagas to the services: each is one transaction, in which the fences are checked first.

use std::sync::Arc;

use super::fences;
use crate::base::ids::Life;
use crate::shop::contract::StorageError;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Admission, Store, Tx};

/// Carries out a command of this life, at the time of the clock inside the transaction. The outcome is `fenced`,
/// and nothing is changed, when the life is fenced off.
pub(in crate::shop) async fn carry_out<T: Send + 'static>(
    store: &Store,
    clock: &Arc<SteadyClock>,
    life: Life,
    fenced: T,
    command: impl FnOnce(&Tx<'_>, u64) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    let clock = Arc::clone(clock);
    let job = move |tx: &Tx<'_>| match fences::is_fenced(tx, life)? {
        true => Ok(fenced),
        false => command(tx, clock.now_ms()),
    };
    Ok(store.write(Admission::Continue, job).await?)
}
