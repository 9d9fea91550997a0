//! What the application holds of its worker. It must not expose how connections are driven.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::boot_wait::BootWait;
use super::drain_mode::DrainMode;
use super::flags::FlagsError;
#[cfg(feature = "grpc")]
use super::grpc_services::GrpcServices;
use super::identity::Identity;
use crate::config::{SectionError, Settings};
use crate::pool::OrphanedWork;
use crate::scoreboard::{AppMetric, AppMetricError, AppMetricKind, Board};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type TakeoverHook = Box<dyn Fn(OrphanedWork) -> BoxFuture<()> + Send + Sync>;
type ReadinessHook = Box<dyn Fn() -> BoxFuture<Result<(), String>> + Send + Sync>;

/// One worker, as its application sees it. Cheap to clone; any thread may use it.
///
/// The boot hook is given one:
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// let app = cluster::App::new("hello").boot(|worker| async move {
///     let greetings = worker.counter("hello_greetings_total", "Greetings said.")?;
///     let hello = async move || {
///         greetings.add(1);
///         "hello\n"
///     };
///     Ok(Router::new().route("/", get(hello)))
/// });
/// ```
#[derive(Clone)]
pub struct Worker {
    pub(super) inner: Arc<WorkerInner>,
}

pub(super) struct WorkerInner {
    identity: Identity,
    settings: Settings,
    board: Board,
    takeover: OnceLock<TakeoverHook>,
    readiness: OnceLock<ReadinessHook>,
    failure: OnceLock<String>,
    /// Whether `drain_mode` is set, for the path that every request takes.
    draining: AtomicBool,
    drain_mode: watch::Sender<Option<DrainMode>>,
    flags: OnceLock<clap::ArgMatches>,
    /// The cluster will stop, and serves on for a while.
    stops_soon: watch::Sender<bool>,
    #[cfg(feature = "grpc")]
    grpc: OnceLock<GrpcServices>,
    orphaned: watch::Sender<bool>,
    status_note: watch::Sender<Option<String>>,
    pub(super) boot_wait: BootWait,
}

impl Worker {
    pub(super) fn new(identity: Identity, settings: Settings, board: Board) -> Worker {
        let inner = WorkerInner {
            identity,
            settings,
            board,
            takeover: OnceLock::new(),
            readiness: OnceLock::new(),
            failure: OnceLock::new(),
            draining: AtomicBool::new(false),
            drain_mode: watch::Sender::new(None),
            flags: OnceLock::new(),
            stops_soon: watch::Sender::new(false),
            #[cfg(feature = "grpc")]
            grpc: OnceLock::new(),
            orphaned: watch::Sender::new(false),
            status_note: watch::Sender::new(None),
            boot_wait: BootWait::default(),
        };
        Worker {
            inner: Arc::new(inner),
        }
    }

    /// A worker without a process around it, for an application's own tests and benches.
    ///
    /// ```
    /// use cluster::base::ids::{Generation, Life};
    /// use cluster::config::Settings;
    /// use cluster::worker::{Identity, Worker};
    ///
    /// let identity = Identity { life: Life::of(1, 0, 1), generation: Generation(1) };
    /// let worker = Worker::detached(identity, Settings::default());
    /// assert_eq!(worker.identity(), identity);
    /// assert!(!worker.is_draining());
    /// ```
    #[must_use]
    pub fn detached(identity: Identity, settings: Settings) -> Worker {
        Worker::new(identity, settings, Board::private())
    }

    /// Which life this worker is, and of which generation.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    /// The configuration of its generation.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Reads one of the application's own sections of the configuration file; an absent section is read as an
    /// empty one.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// #[serde(default, deny_unknown_fields)]
    /// struct Greeting {
    ///     text: String,
    /// }
    ///
    /// impl Default for Greeting {
    ///     fn default() -> Greeting {
    ///         Greeting { text: "hello".to_owned() }
    ///     }
    /// }
    ///
    /// fn greeting(worker: &cluster::Worker) -> Result<String, cluster::worker::SectionError> {
    ///     Ok(worker.section::<Greeting>("greeting")?.text)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the section does not fit the type.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, SectionError> {
        self.settings().section(name)
    }

    /// The application's own flags, as they stand on the command line of the cluster. See
    /// [`App::flags`](super::App::flags).
    ///
    /// # Errors
    /// When the application has not declared these flags, or one of them contradicts another.
    pub fn flags<F: clap::FromArgMatches>(&self) -> Result<F, FlagsError> {
        let given = self.inner.flags.get().ok_or(FlagsError::NotDeclared)?;
        Ok(F::from_arg_matches(given)?)
    }

    /// The values of the application's own flags.
    pub(super) fn give_flags(&self, given: clap::ArgMatches) {
        let first = self.inner.flags.set(given);
        debug_assert!(first.is_ok(), "a worker boots once");
    }

    /// Its scoreboard, for threads that vouch for work of their own.
    ///
    /// ```
    /// # fn thread(worker: &cluster::Worker, work: impl Iterator<Item = fn()>) {
    /// // The master kills this worker when the thread does not beat within `heartbeat_timeout`.
    /// let cell = worker.board().cell("compactor").expect("a free cell");
    /// for step in work {
    ///     cell.stamp();
    ///     step();
    /// }
    /// cell.idle();
    /// # }
    /// ```
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.inner.board
    }

    /// A number that only grows. The admin listener publishes the sum over all workers there ever were. Its
    /// name ends in `_total` and begins with the name of the application; the same name again gives the same
    /// number. An application has at most 16 metrics.
    ///
    /// ```
    /// # use cluster::base::ids::{Generation, Life};
    /// # use cluster::worker::{Identity, Worker};
    /// # let identity = Identity { life: Life::of(1, 0, 1), generation: Generation(1) };
    /// # let worker = Worker::detached(identity, cluster::config::Settings::default());
    /// let served = worker.counter("greeting_served_total", "Greetings that were served.")?;
    /// served.add(1);
    /// assert_eq!(served.value(), 1);
    /// assert!(worker.counter("Not a name", "").is_err());
    /// # Ok::<(), cluster::scoreboard::AppMetricError>(())
    /// ```
    ///
    /// # Errors
    /// When the name is not one that Prometheus takes, the explanation is too long, or there is no room.
    pub fn counter(&self, name: &str, help: &str) -> Result<AppMetric, AppMetricError> {
        self.board().register_metric(AppMetricKind::Counter, name, help)
    }

    /// This worker's share of something. The admin listener publishes the sum over the workers that live.
    ///
    /// ```
    /// # fn boot(worker: &cluster::Worker) -> Result<(), cluster::scoreboard::AppMetricError> {
    /// let open = worker.gauge("greeting_rooms_open", "Rooms that are open now.")?;
    /// open.add(1);
    /// open.sub(1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Worker::counter`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<AppMetric, AppMetricError> {
        self.board().register_metric(AppMetricKind::Gauge, name, help)
    }

    /// A fact about the whole cluster that any of its workers may find out, such as how many orders wait in a
    /// database that all workers share. The admin listener publishes the latest value that any worker has
    /// set, also when that worker is gone.
    ///
    /// ```
    /// # use cluster::scoreboard::AppMetricError;
    /// # fn every_minute(worker: &cluster::Worker, waiting: u64) -> Result<(), AppMetricError> {
    /// let gauge = worker.shared_gauge("shop_orders_waiting", "Orders that wait for payment.")?;
    /// gauge.set(waiting);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Worker::counter`].
    pub fn shared_gauge(&self, name: &str, help: &str) -> Result<AppMetric, AppMetricError> {
        self.board().register_metric(AppMetricKind::Shared, name, help)
    }

    /// Takes over and finishes what a dead worker left behind, whenever the master asks for it. The future
    /// ends when all of that work has an owner again. A panic in it ends this worker, and the master asks
    /// another one. Only the first hook counts.
    ///
    /// ```
    /// use cluster::pool::OrphanedWork;
    ///
    /// # fn boot(worker: &cluster::Worker) {
    /// worker.on_takeover(|work| async move {
    ///     match work {
    ///         OrphanedWork::Life(life) => println!("taking over what {life} left"),
    ///         OrphanedWork::Before(incarnation) => println!("taking over all before {}", incarnation.0),
    ///     }
    /// });
    /// # }
    /// ```
    pub fn on_takeover<F, Fut>(&self, hook: F)
    where
        F: Fn(OrphanedWork) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let hook: TakeoverHook = Box::new(move |work| Box::pin(hook(work)));
        let first = self.inner.takeover.set(hook);
        debug_assert!(first.is_ok(), "an application has one takeover hook");
    }

    /// Says whether this worker can do its work, for `/healthz/readiness`. Only the first hook counts.
    ///
    /// ```
    /// # fn boot(worker: &cluster::Worker) {
    /// worker.readiness(|| async {
    ///     match std::fs::metadata("/var/lib/hello/data") {
    ///         Ok(_) => Ok(()),
    ///         Err(error) => Err(format!("the data cannot be read: {error}")),
    ///     }
    /// });
    /// # }
    /// ```
    pub fn readiness<F, Fut>(&self, hook: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let first = self.inner.readiness.set(Box::new(move || Box::pin(hook())));
        debug_assert!(first.is_ok(), "an application has one readiness hook");
    }

    /// Serves gRPC beside the routes, on the same addresses: what comes as `application/grpc` goes to these
    /// services. `grpc.health.v1` comes along, with the [readiness](Worker::readiness), and reflection, too
    /// (`http.grpc_reflection`). To be called in the boot hook; see `examples/greeter.rs`.
    #[cfg(feature = "grpc")]
    pub fn grpc(&self, services: GrpcServices) {
        let first = self.inner.grpc.set(services);
        debug_assert!(first.is_ok(), "an application lists its gRPC services once");
    }

    /// The application's gRPC services, if it has some.
    #[cfg(feature = "grpc")]
    pub(super) fn grpc_services(&self) -> Option<&GrpcServices> {
        self.inner.grpc.get()
    }

    /// Shows a note about this worker in the cluster's `status`, until another one or `None` takes its place:
    /// something that people should know and that does not keep the worker from serving.
    ///
    /// ```
    /// # fn look(worker: &cluster::Worker, free_bytes: u64) {
    /// worker.set_status_note((free_bytes < 1 << 30).then(|| format!("only {free_bytes} bytes are free")));
    /// # }
    /// ```
    pub fn set_status_note(&self, note: Option<String>) {
        self.inner.status_note.send_if_modified(|known| {
            let is_new = *known != note;
            *known = note;
            is_new
        });
    }

    /// The notes of this worker, as they change.
    pub(crate) fn status_notes(&self) -> watch::Receiver<Option<String>> {
        self.inner.status_note.subscribe()
    }

    /// Whether it has begun to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Relaxed)
    }

    /// Returns when it begins to drain, at once when it has begun. A handler that keeps its client for long
    /// (a WebSocket, an event stream) ends with it; what is left at the end of the drain is cut. See
    /// `examples/chat.rs` for a WebSocket that is closed with code 1001.
    ///
    /// ```
    /// # async fn background(worker: cluster::Worker, mut tick: impl AsyncFnMut()) {
    /// // Work in the background ends when the worker drains, and so does a stream.
    /// loop {
    ///     tokio::select! {
    ///         () = worker.draining() => break,
    ///         () = tick() => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn draining(&self) {
        self.drain_mode_above(None).await;
    }

    /// Whether its master is dead. The worker drains then, and its own death will be noticed by no master.
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
        self.drain(DrainMode::Prompt);
    }

    /// The cluster will stop: says no to whoever asks for the readiness, and serves on.
    pub(super) fn stop_soon(&self) {
        self.inner.stops_soon.send_replace(true);
    }

    /// Whether the cluster will stop, and serves on until then.
    pub(super) fn stops_soon(&self) -> bool {
        *self.inner.stops_soon.borrow()
    }

    /// Returns when the cluster will stop, or this worker begins to drain.
    #[cfg(feature = "grpc")]
    pub(super) async fn leaving(&self) {
        let mut stops_soon = self.inner.stops_soon.subscribe();
        tokio::select! {
            () = self.draining() => {}
            _told = stops_soon.wait_for(|stops_soon| *stops_soon) => {}
        }
    }

    /// This worker has failed and wants to be replaced, after a failed fsync, say. The reason is logged, new
    /// connections go to other workers, requests in flight have half a second, and the process ends with
    /// [`crate::base::exit::Exit::Poisoned`]. Any thread may call it.
    ///
    /// ```
    /// # fn written(worker: &cluster::Worker, file: &std::fs::File) {
    /// if let Err(error) = file.sync_all() {
    ///     worker.fail(format!("the file cannot be synced: {error}"));
    /// }
    /// # }
    /// ```
    pub fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.inner.failure.set(reason.clone()).is_ok() {
            tracing::error!(reason, "this worker is poisoned and will be replaced");
        }
        self.drain(DrainMode::AtOnce);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Why it has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.inner.failure.get().map(String::as_str)
    }

    /// Begins the drain, or makes it faster.
    pub(super) fn drain(&self, mode: DrainMode) {
        self.inner.drain_mode.send_if_modified(|current| {
            let is_faster = current.is_none_or(|current| current < mode);
            if is_faster {
                *current = Some(mode);
            }
            is_faster
        });
        self.inner.draining.store(true, Relaxed);
    }

    /// Returns when the drain has a faster mode than `known`.
    pub(super) async fn drain_mode_above(&self, known: Option<DrainMode>) -> DrainMode {
        let mut mode = self.inner.drain_mode.subscribe();
        let seen = mode.wait_for(|mode| *mode > known).await.map(|seen| *seen);
        match seen {
            Ok(Some(mode)) => mode,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Runs the application's takeover hook, if it has one, once it has booted.
    pub(super) async fn take_over(&self, work: OrphanedWork) {
        self.inner.boot_wait.over().await;
        if let Some(hook) = self.inner.takeover.get() {
            hook(work).await;
        }
    }

    /// Runs the application's readiness hook, if it has one.
    pub(super) fn ask_readiness(&self) -> Option<BoxFuture<Result<(), String>>> {
        self.inner.readiness.get().map(|hook| hook())
    }
}
