//! Which clients of the admin listener are served at once. When no place is left, a new client takes the
//! place of the oldest one that has not sent a request yet, or that has been answered. It must not know what
//! is asked.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

/// The number of clients that are served at once; more wait for this worker or another one.
const MAX_CLIENTS: usize = 16;
/// A client is not evicted for a new one within this time: a request that was sent at once has been read by
/// then.
const GRACE: Duration = Duration::from_millis(50);

/// Whether a client is being answered; then it is not evicted.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

/// The clients that are served, oldest first.
#[derive(Debug, Default)]
pub(super) struct AdmittedClients {
    tasks: JoinSet<()>,
    clients: Vec<AdmittedClient>,
}

#[derive(Debug)]
struct AdmittedClient {
    since: Instant,
    busy: Busy,
    task: AbortHandle,
}

impl Busy {
    pub(super) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }
}

impl AdmittedClients {
    /// Returns when there is a place, or a client that can be evicted. Dropping the future loses nothing.
    pub(super) async fn room(&mut self) {
        loop {
            self.clients.retain(|client| !client.task.is_finished());
            if self.clients.len() < MAX_CLIENTS {
                return;
            }
            // A client whose task ends is taken out above.
            match self.first_idle().map(|index| self.clients[index].since + GRACE) {
                Some(at) if at <= Instant::now() => return,
                Some(at) => drop(timeout_at(at, self.tasks.join_next()).await),
                None => drop(self.tasks.join_next().await),
            }
        }
    }

    /// Serves a client, in the place of another one if need be. To be called when there is
    /// [room](AdmittedClients::room).
    pub(super) fn admit<T>(&mut self, serve: impl FnOnce(Busy) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        if self.clients.len() >= MAX_CLIENTS
            && let Some(index) = self.first_idle()
        {
            self.clients.remove(index).task.abort();
        }
        let busy = Busy::default();
        self.clients.push(AdmittedClient {
            since: Instant::now(),
            busy: busy.clone(),
            task: self.tasks.spawn(serve(busy)),
        });
    }

    /// Returns when no client is served.
    pub(super) async fn all_served(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn first_idle(&self) -> Option<usize> {
        self.clients
            .iter()
            .position(|client| !client.busy.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_idle_client_is_evicted_for_a_new_one_and_a_busy_one_is_not() {
        let mut admission = AdmittedClients::default();
        for number in 0..MAX_CLIENTS {
            admission.room().await;
            admission.admit(|busy| {
                busy.set(number == 0);
                std::future::pending()
            });
        }
        let tasks: Vec<AbortHandle> = admission
            .clients
            .iter()
            .map(|client| client.task.clone())
            .collect();
        for evicted in 1..MAX_CLIENTS {
            admission.room().await;
            admission.admit(|busy| {
                busy.set(true);
                std::future::pending()
            });
            tokio::task::yield_now().await;
            let ended = tasks.iter().filter(|task| task.is_finished()).count();
            assert!(
                ended == evicted && tasks[evicted].is_finished(),
                "{ended} of {evicted}"
            );
        }
        let late = tokio::time::timeout(Duration::from_millis(1), admission.room()).await;
        assert!(late.is_err(), "every client is being answered");
        assert_eq!(admission.clients.len(), MAX_CLIENTS);
    }
}
