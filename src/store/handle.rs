//! The store as its users hold it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::disk_space::Room;
use super::error::{OpenError, ReadError, WriteError};
use super::file_identity::Anchor;
use super::header;
use super::integrity::Seal;
use super::job::{Fate, Job, Pending, Tx};
use super::lock_wait::Patience;
use super::open::{self, Opened};
use super::options::{Admission, Options, PoisonHook, Schema};
use super::queue::{Duty, Queue, Turned};
use super::reader::Reader;
use super::writer::Writer;

/// SQLite needs some tens of KB, a job's own frames (unoptimised, serde) the rest; only what is touched is memory.
pub(super) const STACK_BYTES: usize = 512 * 1024;

/// One database file, open for writing and reading. Cheap to clone; the last clone that is dropped finishes what was accepted,
/// joins the writer thread and closes the file (which blocks for as long as that takes).
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    commits: Arc<AtomicU64>,
    room: Arc<Room>,
    patience: Arc<Patience>,
    on_poison: PoisonHook,
    reader: Reader,
    peek: Mutex<Option<Connection>>,
    path: std::path::PathBuf,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, creates it or brings it up to date, and starts its writer thread. Blocks, below a millisecond for a file
    /// that is up to date; several stores may be opened at the same time from different threads.
    ///
    /// # Errors
    /// [`OpenError`]: each variant says what was found and what to do; a file that is refused was not changed.
    pub fn open(schema: &Schema, options: Options) -> Result<Store, OpenError> {
        let Opened { mut connection, lock } = open::open(schema, &options)?;
        let path = options.path;
        let prepared = connection.busy_timeout(open::STRANGERS_TIMEOUT);
        prepared.map_err(|reason| header::explain(reason, &path, schema))?;
        let checkpointer =
            Checkpointer::watch(&mut connection).map_err(|reason| header::explain(reason, &path, schema))?;
        let queue = Arc::new(Queue::new(options.queue_depth, options.cell.clone()));
        let commits = Arc::new(AtomicU64::new(0));
        let room = Arc::new(Room::new(schema.name, path.clone()));
        let patience = Arc::new(Patience::new(open::beside(&path, ".lock")));
        let writer = Writer {
            connection,
            lock,
            queue: Arc::clone(&queue),
            cell: options.cell,
            on_poison: Arc::clone(&options.on_poison),
            commits: Arc::clone(&commits),
            room: Arc::clone(&room),
            patience: Arc::clone(&patience),
            anchor: Anchor::drop_at(&path),
            checkpointer,
        };
        let thread = std::thread::Builder::new()
            .name(format!("{}-write", schema.name))
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run())
            .map_err(|reason| OpenError::Io {
                path: path.clone(),
                reason,
            })?;
        let reader = Reader::new(schema.name, path.clone(), options.queue_depth);
        let writer = Mutex::new(Some(thread));
        Ok(Store {
            inner: Arc::new(Inner {
                queue,
                commits,
                room,
                patience,
                on_poison: options.on_poison,
                reader,
                peek: Mutex::new(None),
                path,
                writer,
            }),
        })
    }

    /// Runs `job` in the writer thread as a part of the current batch. `Ok` is on disk (fsync) when this returns; an `Err` of the
    /// job rolls back that job alone. Once accepted, a job runs even when this future is dropped.
    ///
    /// # Errors
    /// [`WriteError`]; except for `Poisoned`, nothing was written.
    pub async fn write<T, E>(
        &self,
        admission: Admission,
        job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Pending::new(job, reply));
        self.inner.patience.look();
        match self.inner.queue.submit(admission, job) {
            Ok(duty) => {
                if duty == Duty::Wake {
                    Alarm(&self.inner.queue).goes_off_after_this_turn().await;
                }
                answer.await.unwrap_or(Err(WriteError::Closed))
            }
            Err(Turned::Busy) => Err(WriteError::Busy),
            Err(Turned::Away(Fate::Poisoned(reason))) => Err(WriteError::Poisoned(reason)),
            Err(Turned::Away(Fate::Committed | Fate::Full | Fate::Failed(_) | Fate::Closed)) => {
                Err(WriteError::Closed)
            }
        }
    }

    /// Runs `job` in the store's reader thread, on a connection that cannot write. For lists and anything that may take long.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.judged(self.inner.reader.read(job).await)
    }

    /// Runs `job` on the caller's own thread. For point lookups by an index only: it blocks the handlers' runtime meanwhile.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn peek<T>(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let mut slot = self.inner.peek.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match slot.take() {
            Some(connection) => connection,
            None => open::read_only(&self.inner.path)?,
        };
        let read = job(slot.insert(connection));
        self.inner.judged(read.map_err(ReadError::Sqlite))
    }

    /// Whether the store commits, found out by a commit of its own that changes nothing.
    ///
    /// # Errors
    /// The reason, in words for a readiness probe.
    pub async fn probe(&self) -> Result<(), String> {
        let version = |tx: &Tx<'_>| -> rusqlite::Result<()> {
            let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            tx.execute_batch(&format!("PRAGMA user_version = {version}"))
        };
        self.write(Admission::Continue, version)
            .await
            .map_err(|error| error.to_string())
    }

    /// Whether it can write. Costs nothing while its writes succeed; after one that met a full disk (or another failure that
    /// passes) it is found out by a commit, once the file system says that there is room for more than that.
    pub async fn has_room(&self) -> bool {
        let room = &self.inner.room;
        !room.is_stalled() || (room.has_headroom() && self.probe().await.is_ok())
    }

    /// Finishes what was accepted, takes no more, and closes the file: whoever is the last to do so leaves a database without a
    /// WAL beside it, which can be copied alone. Blocks meanwhile. Closing twice is closing once.
    pub fn close(&self) {
        self.inner.close();
    }

    /// How many transactions this process has committed to the file.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn writer_sleeps(&self) -> bool {
        self.inner.queue.writer_sleeps()
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

/// Wakes the writer when it is dropped, so that a job is run even when the future that brought it is dropped.
struct Alarm<'a>(&'a Queue);

impl Alarm<'_> {
    /// Everyone who is ready now gets to bring its job before the writer begins: they share its transaction, where the first alone
    /// would have one of its own and keep the others waiting for it.
    async fn goes_off_after_this_turn(self) {
        tokio::task::yield_now().await;
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A read that met a broken page ends this process too; the next one looks at every page before it serves.
    fn judged<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(ReadError::Sqlite(error)) = &read
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
        {
            Seal::break_for(&self.path);
            (self.on_poison)(format!("{:?} is corrupt: {error}", self.path));
        }
        read
    }

    fn close(&self) {
        self.queue.close();
        self.reader.close();
        drop(self.peek.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It catches its own panics and tells of them through the poison hook.
            drop(thread.join());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
