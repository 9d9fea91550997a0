//! A server that is not reached when a worker boots is waited for: the worker says so meanwhile, and goes on
//! as soon as the server is there.

use std::time::Duration;

use super::{OpenedShop, open_with_stores};
use crate::shop::contract::StorageError;
use crate::worker::{BootError, Worker};

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// A server that is not reached, or does not serve now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ServerAway(pub(super) String);

/// Opens the shop when its databases are reached.
///
/// # Errors
/// What no waiting mends.
pub(super) async fn open_when_reached(worker: &Worker) -> Result<OpenedShop, BootError> {
    loop {
        match open_with_stores(worker).await {
            Err(error) if is_away(&error) => worker.boot_waits_for(error.to_string()),
            opened => return opened,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether waiting may mend it. The server may also go away in the middle of a boot.
fn is_away(error: &BootError) -> bool {
    error.is::<ServerAway>() || matches!(error.downcast_ref(), Some(StorageError::Unavailable(_)))
}
