//! The store as its users hold it: one handle for writes, reads and probes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::disk_space::DiskSpace;
use super::error::{OpenError, ReadError, WriteError, WriteStall, WriteStallCause};
use super::file_identity::KnownFiles;
use super::filesystem::beside;
use super::header;
use super::integrity::IntegrityMark;
use super::job::{QueuedWrite, Tx, WriteJob};
use super::lock_wait::LockWait;
use super::open::{self, OpenedDatabase};
use super::options::{Admission, PoisonHook, STACK_BYTES, Schema, StoreOptions};
use super::queue::{NotQueued, WriteQueue, WriterState};
use super::reader::ReadThread;
use super::writer::WriterThread;

/// One database file, open for writing and reading. Cheap to clone. Dropping the last clone finishes the
/// accepted writes, joins the writer thread and closes the file, and blocks for as long as that takes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
}

struct StoreInner {
    queue: Arc<WriteQueue>,
    commits: Arc<AtomicU64>,
    disk_space: Arc<DiskSpace>,
    lock_wait: Arc<LockWait>,
    on_poison: PoisonHook,
    reader: ReadThread,
    peek: Mutex<PeekConnection>,
    path: std::path::PathBuf,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The connection of [`Store::peek`].
enum PeekConnection {
    NotOpened,
    Opened(Connection),
    /// For good: a read that comes after the close would open the database again.
    Closed,
}

impl PeekConnection {
    fn opened(&mut self, path: &Path) -> Result<&Connection, ReadError> {
        if let PeekConnection::NotOpened = self {
            *self = PeekConnection::Opened(open::read_only(path)?);
        }
        match self {
            PeekConnection::Opened(connection) => Ok(connection),
            PeekConnection::NotOpened | PeekConnection::Closed => Err(ReadError::Closed),
        }
    }
}

impl Store {
    /// Opens the file, creates it or brings it up to date, and starts its writer thread. Blocks, for less
    /// than a millisecond when the file is up to date. Several stores may be opened at the same time from
    /// different threads.
    ///
    /// # Errors
    /// [`OpenError`]: each variant says what was found and what to do; a file that is refused was not
    /// changed.
    pub fn open(schema: &Schema, options: StoreOptions) -> Result<Store, OpenError> {
        let OpenedDatabase { mut connection, lock } = open::open(schema, &options)?;
        let path = options.path;
        let prepared = connection.busy_timeout(open::OTHER_PROGRAM_TIMEOUT);
        prepared.map_err(|reason| header::explain(reason, &path, schema))?;
        let checkpointer = Checkpointer::watch(schema.name, &path, &mut connection)
            .map_err(|reason| header::explain(reason, &path, schema))?;
        let queue = Arc::new(WriteQueue::new(options.queue_depth, options.cell.clone()));
        let commits = Arc::new(AtomicU64::new(0));
        let disk_space = Arc::new(DiskSpace::new(schema.name, path.clone()));
        let lock_wait = Arc::new(LockWait::new(beside(&path, ".lock")));
        let writer = WriterThread {
            connection,
            lock,
            queue: Arc::clone(&queue),
            cell: options.cell,
            on_poison: Arc::clone(&options.on_poison),
            on_signal: options.on_signal,
            commits: Arc::clone(&commits),
            disk_space: Arc::clone(&disk_space),
            lock_wait: Arc::clone(&lock_wait),
            files: KnownFiles::of(&path),
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
        let reader = ReadThread::new(schema.name, path.clone(), options.queue_depth);
        let writer = Mutex::new(Some(thread));
        Ok(Store {
            inner: Arc::new(StoreInner {
                queue,
                commits,
                disk_space,
                lock_wait,
                on_poison: options.on_poison,
                reader,
                peek: Mutex::new(PeekConnection::NotOpened),
                path,
                writer,
            }),
        })
    }

    /// Runs `job` in the writer thread as a part of the current batch. After `Ok` its writes are on disk
    /// (fsync); an `Err` of the job rolls back that job alone. Once accepted, a job runs even when this
    /// future is dropped.
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
        let job: Box<dyn WriteJob> = Box::new(QueuedWrite::new(job, reply));
        let is_locked = self.inner.lock_wait.is_too_long();
        match self.inner.queue.submit(admission, job) {
            Ok(writer) => {
                if writer == WriterState::Asleep {
                    WakeOnDrop(&self.inner.queue).wake_after_this_turn().await;
                }
                answer.await.unwrap_or(Err(WriteError::Closed))
            }
            Err(NotQueued::Busy) if is_locked => Err(WriteError::OtherProgram),
            Err(NotQueued::Busy) => Err(WriteError::Busy),
            Err(NotQueued::Poisoned(reason)) => Err(WriteError::Poisoned(reason)),
            Err(NotQueued::Closed) => Err(WriteError::Closed),
        }
    }

    /// Runs `job` in the store's reader thread, on a connection that cannot write. For lists and for reads
    /// that may take long.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.poison_if_corrupt(self.inner.reader.read(job).await)
    }

    /// Runs `job` on the caller's own thread. For point lookups by an index only: it blocks the handlers'
    /// runtime meanwhile.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn peek<T>(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let mut peek = self.inner.peek.lock().unwrap_or_else(PoisonError::into_inner);
        let read = job(peek.opened(&self.inner.path)?);
        self.inner.poison_if_corrupt(read.map_err(ReadError::Sqlite))
    }

    /// Whether the store accepts new work, found out by a commit that changes nothing.
    ///
    /// # Errors
    /// The reason why it does not.
    pub async fn probe(&self) -> Result<(), WriteStall> {
        let locked = self.locked().await;
        match locked.or_else(|| self.inner.disk_space.refusal()) {
            Some(stall) => Err(self.of_this_file(stall)),
            None => self.commit_nothing().await,
        }
    }

    /// Whether new work may be begun. Costs nothing while writes succeed. After a write that met a full disk
    /// (or another failure that may pass) a commit finds out, once the file system has more space than that
    /// commit needs.
    ///
    /// # Errors
    /// The reason why it may not.
    pub async fn accepts_new_work(&self) -> Result<(), WriteStall> {
        match self.locked().await {
            Some(stall) => Err(self.of_this_file(stall)),
            None if self.inner.disk_space.is_stalled() => self.probe().await,
            None => Ok(()),
        }
    }

    async fn locked(&self) -> Option<WriteStall> {
        self.inner.lock_wait.is_lasting().await.then(|| WriteStall {
            cause: WriteStallCause::OtherProgram,
            reason: "another process holds the lock file of the database".to_owned(),
        })
    }

    fn of_this_file(&self, WriteStall { cause, reason }: WriteStall) -> WriteStall {
        let file = self.path().file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("{file}: {reason}");
        WriteStall { cause, reason }
    }

    async fn commit_nothing(&self) -> Result<(), WriteStall> {
        let version = |tx: &Tx<'_>| -> rusqlite::Result<()> {
            let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            tx.execute_batch(&format!("PRAGMA user_version = {version}"))
        };
        let written = self.write(Admission::Continue, version).await;
        written.map_err(|error| {
            self.of_this_file(WriteStall {
                cause: error.stall_cause(),
                reason: error.to_string(),
            })
        })
    }

    /// Finishes the accepted writes, accepts no more, and closes the file. The last process that does so
    /// leaves a database without a WAL beside it, which can be copied alone. Blocks meanwhile. Closing twice
    /// has no further effect.
    pub fn close(&self) {
        self.inner.close();
    }

    /// How many transactions this process has committed to the file.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Acquire)
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

/// Wakes the writer thread when it is dropped, so that a job runs even when the future that brought it is
/// dropped.
struct WakeOnDrop<'a>(&'a WriteQueue);

impl WakeOnDrop<'_> {
    /// Every task that is ready now brings its job before the writer thread begins, so that they share one
    /// transaction. Otherwise the first would have a transaction of its own and the others would wait for it.
    async fn wake_after_this_turn(self) {
        tokio::task::yield_now().await;
    }
}

impl Drop for WakeOnDrop<'_> {
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

impl StoreInner {
    /// A read that met a broken page poisons the store, too; the next process checks every page before it
    /// serves.
    fn poison_if_corrupt<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(ReadError::Sqlite(error)) = &read
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
        {
            IntegrityMark::mark_suspect(&self.path);
            (self.on_poison)(format!("{:?} is corrupt: {error}", self.path));
        }
        read
    }

    fn close(&self) {
        // The writer's connection is the last one of this process, and siblings are kept out by the lock
        // while it closes. Two that closed at the same moment would each find that the other has the file
        // open, and the WAL would stay behind.
        self.reader.close();
        *self.peek.lock().unwrap_or_else(PoisonError::into_inner) = PeekConnection::Closed;
        self.queue.close();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // The thread catches its own panics and reports them through the poison hook.
            drop(thread.join());
        }
    }
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        self.close();
    }
}
