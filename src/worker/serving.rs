//! The second phase: the application answers. Only [`Serving::serve`] makes a [`Draining`].

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::accept::acceptor::{AcceptContext, Acceptor};
use super::accept::adopted::{self, AdoptionRequest};
use super::admin::Admin;
use super::connection::connections::Connections;
use super::draining::Draining;
use super::handle::Worker;
use super::notify::Notify;

/// A worker that accepts connections.
pub(super) struct Serving {
    worker: Worker,
    notify: Notify,
    connections: Arc<Connections>,
    acceptors: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
}

impl Serving {
    /// Begins to accept, and tells the master.
    pub(super) fn open(
        worker: Worker,
        notify: Notify,
        context: Arc<AcceptContext>,
        (acceptors, adoptions, admin): (
            Vec<Acceptor>,
            mpsc::UnboundedReceiver<AdoptionRequest>,
            Option<Admin>,
        ),
        begun: Instant,
    ) -> Serving {
        let connections = Arc::clone(&context.connections);
        let mut running = JoinSet::new();
        for acceptor in acceptors {
            let worker = worker.clone();
            running.spawn(acceptor.run(async move { worker.draining().await }));
        }
        running.spawn(adopted::serve(worker.clone(), context, adoptions));
        let admin = admin.map(|admin| tokio::spawn(admin.run()));
        let ms = begun.elapsed().as_millis();
        tracing::debug!(ms, generation = worker.identity().generation.0, "ready");
        notify.ready(&format!("serving, booted in {ms} ms"));
        Serving {
            worker,
            notify,
            connections,
            acceptors: running,
            admin,
        }
    }

    /// Serves until the drain is asked for.
    pub(super) async fn serve(self) -> Draining {
        let mode = self.worker.drain_mode_above(None).await;
        self.notify
            .stopping(&format!("draining {} connections", self.connections.count()));
        Draining::new(self.worker, self.connections, (self.acceptors, self.admin), mode)
    }
}
