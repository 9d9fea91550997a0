//! The second phase: the application answers. Only [`Serving::serve`] makes a [`Draining`].

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::accept::acceptor::{Door, House};
use super::accept::adopted::{self, Wish};
use super::admin::Admin;
use super::connection::connections::Connections;
use super::draining::Draining;
use super::handle::Worker;
use super::notify::Notify;

/// A worker whose doors are open.
pub(super) struct Serving {
    worker: Worker,
    notify: Notify,
    connections: Arc<Connections>,
    doors: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
}

impl Serving {
    /// Opens the doors and tells the master.
    pub(super) fn open(
        worker: Worker,
        notify: Notify,
        house: Arc<House>,
        (doors, wishes, admin): (Vec<Door>, mpsc::UnboundedReceiver<Wish>, Option<Admin>),
        begun: Instant,
    ) -> Serving {
        let connections = Arc::clone(&house.connections);
        let mut open = JoinSet::new();
        for door in doors {
            let worker = worker.clone();
            open.spawn(door.keep(async move { worker.draining().await }));
        }
        open.spawn(adopted::keep(worker.clone(), house, wishes));
        let admin = admin.map(|admin| tokio::spawn(admin.keep()));
        let ms = begun.elapsed().as_millis();
        tracing::debug!(ms, generation = worker.identity().generation.0, "ready");
        notify.ready(&format!("serving, booted in {ms} ms"));
        Serving {
            worker,
            notify,
            connections,
            doors: open,
            admin,
        }
    }

    /// Serves until somebody wants it to end.
    pub(super) async fn serve(self) -> Draining {
        let begun = self.worker.haste_above(None).await;
        self.notify
            .stopping(&format!("draining {} connections", self.connections.count()));
        Draining::new(self.worker, self.connections, (self.doors, self.admin), begun)
    }
}
