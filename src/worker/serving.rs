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
use super::late_boot::{BootFailure, LateBoot};
use super::notify::Notify;

/// A worker that accepts connections.
pub(super) struct Serving {
    worker: Worker,
    notify: Arc<Notify>,
    connections: Arc<Connections>,
    acceptors: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
    /// The boot, when it is not over.
    late: Option<LateBoot>,
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
        (begun, late): (Instant, Option<LateBoot>),
    ) -> Serving {
        let connections = Arc::clone(&context.connections);
        let mut running = JoinSet::new();
        for acceptor in acceptors {
            let worker = worker.clone();
            running.spawn(acceptor.run(async move { worker.draining().await }));
        }
        running.spawn(adopted::serve(worker.clone(), context, adoptions));
        let admin = admin.map(|admin| tokio::spawn(admin.run()));
        let took_ms = begun.elapsed().as_millis();
        tracing::debug!(took_ms, generation = worker.identity().generation.0, "ready");
        notify.ready(&match worker.boot_wait().reason() {
            None => format!("serving, booted in {took_ms} ms"),
            Some(reason) => format!("serving; has not booted yet: {reason}"),
        });
        let notify = Arc::new(notify);
        running.spawn(show_notes(worker.clone(), Arc::clone(&notify)));
        Serving {
            worker,
            notify,
            connections,
            acceptors: running,
            admin,
            late,
        }
    }

    /// Serves until the drain is asked for.
    ///
    /// # Errors
    /// When the application that was waited for does not boot.
    pub(super) async fn serve(mut self) -> Result<Draining, BootFailure> {
        if let Some(late) = self.late.take() {
            tokio::select! {
                biased;
                () = self.worker.draining() => {}
                booted = late.finish(&self.worker) => booted?,
            }
        }
        let mode = self.worker.drain_mode_above(None).await;
        if let Some(reason) = self.worker.failure() {
            self.notify.trouble(Some(reason));
        }
        self.notify
            .stopping(&format!("draining {} connections", self.connections.count()));
        let stops = (self.acceptors, self.admin);
        Ok(Draining::new(self.worker, self.connections, stops, mode))
    }
}

/// Shows each note of the application beside the state of the worker, until the drain begins.
async fn show_notes(worker: Worker, notify: Arc<Notify>) {
    let mut notes = worker.status_notes();
    let show = async {
        // The sender lives as long as the worker does.
        while notes.changed().await.is_ok() {
            let note = notes.borrow_and_update().clone();
            notify.status(&note.map_or_else(|| "serving".to_owned(), |note| format!("serving; {note}")));
        }
    };
    tokio::select! {
        () = show => (),
        () = worker.draining() => (),
    }
}
