//! Whose requests may change stock and read what is not the client's own: checked before the start, and said
//! at the start where nobody's may.

use crate::base::ids::Slot;
use crate::config::{Address, ListenerRole, Settings};
use crate::http::{InternalGuard, TokenFileError};
use crate::worker::Worker;

/// The guard of these settings.
pub(super) fn guard(settings: &Settings) -> Result<InternalGuard, TokenFileError> {
    InternalGuard::new(settings.cluster.internal_token_file.as_deref())
}

/// Names the addresses where internal requests are refused, if nobody has said whose are internal. One worker
/// says so.
pub(super) fn tell(worker: &Worker) {
    let cluster = &worker.settings().cluster;
    if cluster.names_internal_clients() || worker.identity().life.slot != Slot(0) {
        return;
    }
    let is_public = |address: &&Address| cluster.role_of(address) == ListenerRole::Public;
    let public: Vec<String> = cluster
        .bind
        .iter()
        .filter(is_public)
        .map(Address::to_string)
        .collect();
    if !public.is_empty() {
        let address = public.join(", ");
        tracing::warn!(
            address,
            "requests that change stock or read events are refused at {address}, which is no loopback \
             address: set cluster.internal or cluster.internal_token_file to serve them"
        );
    }
}
