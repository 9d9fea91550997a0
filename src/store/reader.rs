//! Reads outside the caller's thread: one thread per store, started by the first read, with a connection of
//! its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::ReadError;
use super::job::panic_text;
use super::open;
use super::options::STACK_BYTES;

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// The reader thread, started or not.
pub(super) struct ReadThread {
    name: String,
    path: PathBuf,
    depth: usize,
    running: Mutex<Option<RunningThread>>,
}

struct RunningThread {
    sender: SyncSender<ReadJob>,
    thread: JoinHandle<()>,
}

impl ReadThread {
    pub(super) fn new(name: &str, path: PathBuf, depth: usize) -> ReadThread {
        ReadThread {
            name: format!("{name}-read"),
            path,
            depth,
            running: Mutex::new(None),
        }
    }

    /// Runs `job` in the reader thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (reply, answer) = oneshot::channel();
        let job = move |connection: &Connection| {
            let result = catch_unwind(AssertUnwindSafe(|| job(connection)));
            let result = match result {
                Ok(result) => result.map_err(ReadError::Sqlite),
                Err(payload) => Err(ReadError::Panicked(panic_text(payload.as_ref()))),
            };
            // The caller may have gone.
            drop(reply.send(result));
        };
        match self.sender()?.try_send(Box::new(job)) {
            Ok(()) => answer.await.unwrap_or(Err(ReadError::Closed)),
            Err(TrySendError::Full(_)) => Err(ReadError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(ReadError::Closed),
        }
    }

    fn sender(&self) -> Result<SyncSender<ReadJob>, ReadError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref() {
            return Ok(running.sender.clone());
        }
        let connection = open::read_only(&self.path)?;
        let (sender, receiver) = sync_channel(self.depth.max(1));
        let thread = std::thread::Builder::new()
            .name(self.name.clone())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(&connection, &receiver))
            .map_err(|_| ReadError::Closed)?;
        *running = Some(RunningThread {
            sender: sender.clone(),
            thread,
        });
        Ok(sender)
    }

    /// Ends the thread once the waiting reads are done.
    pub(super) fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(RunningThread { sender, thread }) = running else {
            return;
        };
        drop(sender);
        if thread.thread().id() != std::thread::current().id() {
            // The thread catches its jobs' panics, so how it ended says nothing.
            drop(thread.join());
        }
    }
}

fn serve(connection: &Connection, reads: &Receiver<ReadJob>) {
    for read in reads {
        read(connection);
    }
}
