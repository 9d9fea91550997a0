//! Shares the databases with other hosts, for a worker that has booted.

use std::sync::Arc;

use crate::shop::events::{StreamsRecorder, other_hosts};
use crate::shop::http::AppState;
use crate::shop::recovery::host_lease::HostLease;
use crate::shop::recovery::storage_watch::NoteOfHosts;
use crate::worker::Worker;

/// Lets the databases be shared with other hosts: renews the lease of this one, and wakes readers for what
/// others write. What to say of the hosts in the status.
pub(super) fn share(
    lease: Option<HostLease>,
    state: &AppState,
    (worker, streams): (&Worker, &Arc<StreamsRecorder>),
) -> NoteOfHosts {
    let Some(lease) = lease else {
        return Box::new(|| None);
    };
    let others = lease.others.subscribe();
    let wakes = other_hosts::wake_readers(state.events.clone(), Arc::clone(streams), others);
    tokio::spawn(wakes);
    let renewed = lease.clone();
    tokio::spawn(renewed.run(state.orders.clone(), worker.clone()));
    Box::new(move || lease.note())
}
