//! A boot that goes on while the worker serves already, and how a boot fails.

use std::io;
use std::sync::Arc;

use axum::Router;

use super::app::{BootError, BootFuture, BootRefused};
use super::boot_wait::BootWait;
use super::handle::Worker;
use super::request::edge::{Edge, EdgeFeatures};
use crate::base::exit::Exit;

/// Why a worker has nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootFailure {
    #[error("the application has no boot hook (App::boot)")]
    NoHook,
    #[error("{0}")]
    Hook(BootError),
    #[error("a listener cannot be watched: {0}")]
    Listener(io::Error),
}

impl BootFailure {
    /// The exit code of the worker.
    pub(super) fn exit(&self) -> Exit {
        match self {
            BootFailure::NoHook => Exit::BootFailed,
            BootFailure::Listener(_) => Exit::NoResources,
            BootFailure::Hook(error) => error
                .downcast_ref()
                .map_or(Exit::BootFailed, |refused: &BootRefused| refused.exit),
        }
    }
}

/// What answers for an application that has booted.
pub(super) fn edge_of(worker: &Worker, router: Router, features: EdgeFeatures) -> Arc<Edge> {
    if worker.settings().drill.routes {
        tracing::warn!(
            "DRILL ROUTES ARE ON: any client of this machine can hang and kill workers at /drill/…"
        );
    }
    Arc::new(Edge::new(worker.clone(), router, features))
}

/// A boot that goes on while the worker serves already.
pub(super) struct LateBoot {
    pub(super) hook: BootFuture,
    /// What answers meanwhile.
    pub(super) edge: Arc<Edge>,
    pub(super) features: EdgeFeatures,
}

impl LateBoot {
    /// Waits for the end of the boot, and has the application answer.
    pub(super) async fn finish(self, worker: &Worker) -> Result<(), BootFailure> {
        let router = self.hook.await.map_err(BootFailure::Hook)?;
        worker.has_booted();
        self.edge.succeed_by(edge_of(worker, router, self.features));
        Ok(())
    }
}

impl Worker {
    /// Says that the boot hook waits for something that may take long, such as a database on another host,
    /// and why. From the first call until the hook returns, the worker counts as started and serves: it is
    /// alive, its readiness is refused with this reason, and so is every request, with 503. What the master
    /// asks the application for, such as to take over work, is done when the hook has returned.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use axum::{Router, routing::get};
    /// use tokio::net::TcpStream;
    ///
    /// let app = cluster::App::new("front").boot(|worker| async move {
    ///     while let Err(error) = TcpStream::connect("db.example:5432").await {
    ///         worker.boot_waits_for(format!("the database is not reached: {error}"));
    ///         tokio::time::sleep(Duration::from_millis(200)).await;
    ///     }
    ///     Ok(Router::new().route("/", get(async || "hello\n")))
    /// });
    /// ```
    pub fn boot_waits_for(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.boot_wait().set(&reason) {
            tracing::warn!(reason, "the application has not booted yet: {reason}");
            self.set_status_note(Some(format!("has not booted yet: {reason}")));
        }
    }

    /// What its boot waits for.
    pub(super) fn boot_wait(&self) -> &BootWait {
        &self.inner.boot_wait
    }

    /// The boot waits for nothing any more.
    pub(super) fn has_booted(&self) {
        if self.boot_wait().end() {
            tracing::info!("the application has booted");
            self.set_status_note(None);
        }
    }
}
