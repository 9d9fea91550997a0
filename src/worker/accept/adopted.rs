//! The queues of other slots that this worker was told to serve besides its own: doors that the master has opened here and can
//! close again. It must not know why.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::acceptor::{Door, House};
use super::listener::Listener;
use crate::base::ids::Slot;
use crate::worker::handle::Worker;

/// What the master wants of a slot's queue.
#[derive(Debug)]
pub(in crate::worker) enum Wish {
    /// Serve it: these are its listeners.
    Adopt(Slot, Vec<OwnedFd>),
    /// Take what waits there now, and let go.
    Disown(Slot),
}

/// The doors of one adopted slot stay open for as long as this is kept.
type Key = watch::Sender<()>;

/// Serves adopted queues until the drain, then takes what waits there and closes.
pub(in crate::worker) async fn keep(
    worker: Worker,
    house: Arc<House>,
    mut wishes: mpsc::UnboundedReceiver<Wish>,
) {
    let mut keys: BTreeMap<Slot, Key> = BTreeMap::new();
    let mut doors = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(wish) = wishes.recv() => match wish {
                Wish::Adopt(slot, listeners) => {
                    let key = keys.entry(slot).or_insert_with(|| watch::Sender::new(()));
                    tracing::debug!(%slot, listeners = listeners.len(), "serving another slot's queue");
                    open(&house, key, listeners, &mut doors);
                }
                Wish::Disown(slot) => drop(keys.remove(&slot)),
            },
            () = worker.draining() => break,
            Some(_closed) = doors.join_next() => {}
        }
    }
    drop(keys);
    while doors.join_next().await.is_some() {}
}

fn open(house: &Arc<House>, key: &Key, listeners: Vec<OwnedFd>, doors: &mut JoinSet<()>) {
    for fd in listeners {
        match Listener::new(fd) {
            Ok(listener) => {
                let mut kept = key.subscribe();
                let closed = async move { while kept.changed().await.is_ok() {} };
                doors.spawn(Door::new(listener, Arc::clone(house)).keep(closed));
            }
            Err(error) => {
                tracing::warn!(%error, "another slot's listener cannot be watched: what waits there is left to its next worker");
            }
        }
    }
}
