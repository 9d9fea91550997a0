//! The queues of other slots that this worker serves besides its own: the master hands their listeners over
//! and takes them back. It must not know why.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::acceptor::{AcceptContext, Acceptor};
use super::listener::Listener;
use crate::base::ids::Slot;
use crate::worker::handle::Worker;

impl AdoptionRequest {
    /// The slot whose queue it is about.
    pub(crate) fn slot(&self) -> Slot {
        match self {
            AdoptionRequest::Adopt(slot, _) | AdoptionRequest::Disown(slot) => *slot,
        }
    }
}

/// What the master wants done with the queue of a slot.
#[derive(Debug)]
pub(crate) enum AdoptionRequest {
    /// Serve the queue: these are its listeners.
    Adopt(Slot, Vec<OwnedFd>),
    /// Take what waits in the queue now, and serve it no more.
    Disown(Slot),
}

/// The acceptors of one adopted slot run until this is dropped.
type KeepRunning = watch::Sender<()>;

/// Serves adopted queues until the drain, then takes what waits in them and closes their listeners.
pub(in crate::worker) async fn serve(
    worker: Worker,
    context: Arc<AcceptContext>,
    mut requests: mpsc::UnboundedReceiver<AdoptionRequest>,
) {
    let mut adopted: BTreeMap<Slot, KeepRunning> = BTreeMap::new();
    let mut acceptors = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(request) = requests.recv() => match request {
                AdoptionRequest::Adopt(slot, listeners) => {
                    let running = adopted.entry(slot).or_insert_with(|| watch::Sender::new(()));
                    tracing::debug!(%slot, listeners = listeners.len(), "serving another slot's queue");
                    accept_from(&context, running, listeners, &mut acceptors);
                }
                AdoptionRequest::Disown(slot) => drop(adopted.remove(&slot)),
            },
            () = worker.draining() => break,
            Some(_ended) = acceptors.join_next() => {}
        }
    }
    drop(adopted);
    while acceptors.join_next().await.is_some() {}
}

fn accept_from(
    context: &Arc<AcceptContext>,
    running: &KeepRunning,
    listeners: Vec<OwnedFd>,
    acceptors: &mut JoinSet<()>,
) {
    for fd in listeners {
        match Listener::new(fd) {
            Ok(listener) => {
                let mut running = running.subscribe();
                let disowned = async move { while running.changed().await.is_ok() {} };
                acceptors.spawn(Acceptor::new(listener, Arc::clone(context)).run(disowned));
            }
            Err(error) => tracing::warn!(
                %error,
                "another slot's listener cannot be watched: its queue is left to the next worker of that slot"
            ),
        }
    }
}
