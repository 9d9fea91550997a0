//! What the application holds of its worker. It must not expose how connections are driven.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::identity::Identity;
use crate::config::Settings;
use crate::pool::OrphanedWork;
use crate::scoreboard::{Board, OwnError, OwnKind, OwnMetric};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type InheritHook = Box<dyn Fn(OrphanedWork) -> BoxFuture<()> + Send + Sync>;
type ReadinessHook = Box<dyn Fn() -> BoxFuture<Result<(), String>> + Send + Sync>;

/// One worker, as its application sees it. Cheap to clone; any thread may use it.
#[derive(Clone)]
pub struct Worker {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    settings: Settings,
    board: Board,
    inherit: OnceLock<InheritHook>,
    readiness: OnceLock<ReadinessHook>,
    failure: OnceLock<String>,
    /// The same as `haste` being set, for the path that every request takes.
    draining: AtomicBool,
    haste: watch::Sender<Option<Haste>>,
    orphaned: watch::Sender<bool>,
}

/// How much of the drain's time is spent on connections that are open but silent. A later order can only add haste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// Others serve on: a silent connection is kept nearly as long as `drain_timeout` allows, so that its next request is
    /// answered (with `Connection: close`) and never meets a reset.
    Patient,
    /// Nobody serves on (the cluster stops, or the master is gone and the next one waits): silent ones are closed after a second.
    Prompt,
    /// This worker is no good any more: silent ones are closed now, the others have half a second.
    AtOnce,
}

/// Why a section of the configuration is not what the application expects.
#[derive(Debug, thiserror::Error)]
#[error("failed to read [{section}]: {reason}")]
pub struct SectionError {
    section: String,
    reason: toml::de::Error,
}

impl Worker {
    pub(super) fn new(identity: Identity, settings: Settings, board: Board) -> Worker {
        let inner = Inner {
            identity,
            settings,
            board,
            inherit: OnceLock::new(),
            readiness: OnceLock::new(),
            failure: OnceLock::new(),
            draining: AtomicBool::new(false),
            haste: watch::Sender::new(None),
            orphaned: watch::Sender::new(false),
        };
        Worker {
            inner: Arc::new(inner),
        }
    }

    /// A worker without a process around it, for an application's own tests and benches.
    #[must_use]
    pub fn detached(identity: Identity, settings: Settings) -> Worker {
        Worker::new(identity, settings, Board::private())
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    /// What its generation is configured by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// One of the application's own sections of the configuration file; an absent one is read as an empty one.
    ///
    /// # Errors
    /// When the section does not fit the type.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, SectionError> {
        let value = self.settings().app.get(name).cloned();
        let value = value.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        value.try_into().map_err(|reason| SectionError {
            section: name.to_owned(),
            reason,
        })
    }

    /// Its scoreboard, for threads that vouch for work of their own.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.inner.board
    }

    /// A number that only grows, published on the admin listener as the sum over all workers there ever were. Its name ends in
    /// `_total` and begins with the application's; the same name again is the same number. See [`OwnMetric`] for what can be
    /// done with it; an application has at most 16 metrics.
    ///
    /// # Errors
    /// When the name is not one that Prometheus takes, the explanation too long, or there is no room.
    pub fn counter(&self, name: &str, help: &str) -> Result<OwnMetric, OwnError> {
        self.board().own(OwnKind::Counter, name, help)
    }

    /// This worker's share of something, published as the sum over the workers that live.
    ///
    /// # Errors
    /// As [`Worker::counter`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<OwnMetric, OwnError> {
        self.board().own(OwnKind::Gauge, name, help)
    }

    /// A fact about the whole cluster that any of its workers may find out (how many orders wait in a database that all
    /// share), published as whatever was told last, and kept when the worker that told it is gone.
    ///
    /// # Errors
    /// As [`Worker::counter`].
    pub fn told(&self, name: &str, help: &str) -> Result<OwnMetric, OwnError> {
        self.board().own(OwnKind::Told, name, help)
    }

    /// Takes over and finishes what an estate left behind whenever the master says so; the future ends when everything of
    /// the estate has an owner again. A panic in it ends the worker, and the master asks another one. Only the first hook counts.
    pub fn on_inherit<F, Fut>(&self, hook: F)
    where
        F: Fn(OrphanedWork) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let first = self
            .inner
            .inherit
            .set(Box::new(move |estate| Box::pin(hook(estate))));
        debug_assert!(first.is_ok(), "an application has one inherit hook");
    }

    /// Says whether this worker can do its work, for `/healthz/readiness`. Only the first hook counts.
    pub fn readiness<F, Fut>(&self, hook: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let first = self.inner.readiness.set(Box::new(move || Box::pin(hook())));
        debug_assert!(first.is_ok(), "an application has one readiness hook");
    }

    /// Whether it has begun to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Relaxed)
    }

    /// Returns when it begins to drain, at once when it has.
    pub async fn draining(&self) {
        self.haste_above(None).await;
    }

    /// Whether its master is dead. It drains then, and nobody will be told of its own death.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        *self.inner.orphaned.borrow()
    }

    /// Returns when its master is dead, at once when it is.
    pub async fn orphaned(&self) {
        let mut orphaned = self.inner.orphaned.subscribe();
        if orphaned.wait_for(|orphaned| *orphaned).await.is_err() {
            std::future::pending().await
        }
    }

    /// The master is dead: begins the drain.
    pub(super) fn orphan(&self) {
        self.inner.orphaned.send_replace(true);
        self.drain(Haste::Prompt);
    }

    /// This worker can do no more good and wants to be replaced (after a failed fsync, say): it is logged, new connections go
    /// elsewhere, what is being answered has half a second, and the process ends with [`crate::base::exit::Exit::Poisoned`]. Any thread may say so.
    pub fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.inner.failure.set(reason.clone()).is_ok() {
            tracing::error!(reason, "this worker is poisoned and will be replaced");
        }
        self.drain(Haste::AtOnce);
    }

    pub(super) fn failed(&self) -> bool {
        self.inner.failure.get().is_some()
    }

    /// Begins the drain, or adds haste to it.
    pub(super) fn drain(&self, haste: Haste) {
        self.inner.haste.send_if_modified(|current| {
            let more = current.is_none_or(|current| current < haste);
            if more {
                *current = Some(haste);
            }
            more
        });
        self.inner.draining.store(true, Relaxed);
    }

    /// Returns when the drain has more haste than `known`.
    pub(super) async fn haste_above(&self, known: Option<Haste>) -> Haste {
        let mut haste = self.inner.haste.subscribe();
        let seen = haste.wait_for(|haste| *haste > known).await.map(|seen| *seen);
        match seen {
            Ok(Some(haste)) => haste,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// What the application's inherit hook makes of an estate; an application without one leaves nothing behind.
    pub(super) fn inherit(&self, estate: OrphanedWork) -> BoxFuture<()> {
        match self.inner.inherit.get() {
            Some(hook) => hook(estate),
            None => Box::pin(std::future::ready(())),
        }
    }

    /// What the application says about its readiness; `None` when it has no opinion.
    pub(super) fn ask_readiness(&self) -> Option<BoxFuture<Result<(), String>>> {
        self.inner.readiness.get().map(|hook| hook())
    }
}
