//! The store as its users hold it: one handle for writes, reads and probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::Row;

use super::call::Call;
use super::connect::{Link, named};
use super::driven_client::DrivenClient;
use super::failure::PostgresFailure;
use super::options::{PostgresOptions, WriterIdentity};
use super::reader::Reader;
use super::schema::{ClusterId, PostgresSchema, prepare};
use super::target::PostgresTarget;
use super::writer::{Job, Writer, WriterHandle};
use crate::base::ids::HostId;
use crate::store::{Admission, SignalHook};

/// Bringing a database up to date may take longer than any call.
const PREPARE: Duration = Duration::from_secs(60);

/// A probe has an answer after this, if the server is known not to be reached.
const PROBE: Duration = Duration::from_millis(500);

/// One database, open for writing and reading. Cheap to clone. Its tasks end with the last clone.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<OpenDatabase>,
}

struct OpenDatabase {
    writer: WriterHandle,
    points: Reader,
    lists: Reader,
    depth: u64,
    host: HostId,
    target: PostgresTarget,
    on_signal: SignalHook,
    signals_later: AtomicBool,
}

impl PostgresStore {
    /// Connects, brings the database up to date, and registers the writer. To be called inside the runtime.
    ///
    /// # Errors
    /// [`PostgresFailure`]: what was found, what was expected. A database that is refused was not changed.
    pub async fn open(
        target: PostgresTarget,
        schema: &PostgresSchema,
        cluster: &ClusterId,
        identity: WriterIdentity,
        options: PostgresOptions,
    ) -> Result<PostgresStore, PostgresFailure> {
        let link = Link::open(&target).await?;
        bring_up_to_date(&target, schema, cluster).await?;
        let depth = options.queue_depth as u64;
        let on_signal = Arc::clone(&options.on_signal);
        let writer = Writer::start(link, target.clone(), identity, options).await?;
        let inner = OpenDatabase {
            writer,
            points: Reader::new(target.clone()),
            lists: Reader::new(target.clone()),
            depth,
            host: match identity {
                WriterIdentity::Life(life) => life.host,
                WriterIdentity::Operator => HostId::UNNAMED,
            },
            target,
            on_signal,
            signals_later: AtomicBool::new(false),
        };
        Ok(PostgresStore {
            inner: Arc::new(inner),
        })
    }

    /// Makes a call as a part of the next transaction. After `Ok` it is committed. Once accepted, a call is
    /// made even when this future is dropped.
    ///
    /// # Errors
    /// [`PostgresFailure`]; except for `Unknown`, nothing was written.
    pub async fn write(&self, admission: Admission, call: Call) -> Result<Vec<Row>, PostgresFailure> {
        let waiting = self.inner.writer.waiting.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let is_full = admission == Admission::New && waiting >= self.inner.depth;
        if is_full || self.inner.writer.jobs.send(Job { call, reply }).is_err() {
            self.inner.writer.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(if is_full { PostgresFailure::Busy } else { closed() });
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The rows of a look-up.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn look_up(&self, call: Call) -> Result<Vec<Row>, PostgresFailure> {
        self.inner.points.read(&call).await
    }

    /// The rows of a list, or of a read that may take long.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn list(&self, call: Call) -> Result<Vec<Row>, PostgresFailure> {
        self.inner.lists.read(&call).await
    }

    /// Whether the database commits, found out by a transaction that changes nothing else. When that takes
    /// long, what is known of the server is the answer.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn probe(&self) -> Result<(), PostgresFailure> {
        let asked = self.write(Admission::Continue, Call::new("SELECT 1"));
        tokio::select! {
            biased;
            done = asked => done.map(drop),
            failure = self.known_failure() => Err(failure),
        }
    }

    /// Why the server is not reached, once the patience of a probe is over.
    async fn known_failure(&self) -> PostgresFailure {
        tokio::time::sleep(PROBE).await;
        let mut health = self.inner.writer.health.clone();
        let failure = health.wait_for(Option::is_some).await;
        let failure = failure.ok().and_then(|failure| failure.clone());
        failure.unwrap_or_else(closed)
    }

    /// Whether new work may be begun, by the last transaction. After one that failed, another finds out.
    ///
    /// # Errors
    /// The reason why it may not.
    pub async fn accepts_new_work(&self) -> Result<(), PostgresFailure> {
        let failed = self.inner.writer.health.borrow().is_some();
        match failed {
            true => self.probe().await,
            false => Ok(()),
        }
    }

    /// Tells those who wait for what is written, once more and after a pause: something is committed that
    /// could not be read yet.
    pub fn signal_later(&self, pause: Duration) {
        if self.inner.signals_later.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            inner.signals_later.store(false, Ordering::Relaxed);
            (inner.on_signal)();
        });
    }

    /// How many transactions this process has committed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits.load(Ordering::Relaxed)
    }

    /// The host of the life that writes.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.inner.host
    }

    /// The database and its server, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.inner.target.shown()
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore")
            .field("target", &self.inner.target.shown())
            .finish_non_exhaustive()
    }
}

fn closed() -> PostgresFailure {
    PostgresFailure::Unreachable("the store is closed".to_owned())
}

async fn bring_up_to_date(
    target: &PostgresTarget,
    schema: &PostgresSchema,
    cluster: &ClusterId,
) -> Result<(), PostgresFailure> {
    let mut client = DrivenClient::connect(target).await?;
    let prepared = tokio::time::timeout(PREPARE, prepare(&mut client, schema, cluster)).await;
    let late = || PostgresFailure::Unreachable("it was not brought up to date within a minute".to_owned());
    prepared
        .unwrap_or_else(|_| Err(late()))
        .map_err(|failure| may_not_make_tables(named(failure, target)))
}

fn may_not_make_tables(failure: PostgresFailure) -> PostgresFailure {
    match failure {
        PostgresFailure::NotPermitted(reason) => PostgresFailure::NotPermitted(format!(
            "{reason}: the role needs a database of its own (ALTER DATABASE … OWNER TO …), or the right \
             to make tables there (GRANT CREATE ON SCHEMA public TO …)"
        )),
        other => other,
    }
}
