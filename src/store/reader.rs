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
    state: Mutex<ReadThreadState>,
}

enum ReadThreadState {
    NotStarted,
    Running(RunningThread),
    /// For good: a read that comes after the close would open the database again.
    Closed,
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
            state: Mutex::new(ReadThreadState::NotStarted),
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            ReadThreadState::NotStarted => {}
            ReadThreadState::Running(running) => return Ok(running.sender.clone()),
            ReadThreadState::Closed => return Err(ReadError::Closed),
        }
        let connection = open::read_only(&self.path)?;
        let (sender, receiver) = sync_channel(self.depth.max(1));
        let thread = std::thread::Builder::new()
            .name(self.name.clone())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(&connection, &receiver))
            .map_err(|_| ReadError::Closed)?;
        *state = ReadThreadState::Running(RunningThread {
            sender: sender.clone(),
            thread,
        });
        Ok(sender)
    }

    /// Ends the thread once the waiting reads are done, and refuses later ones.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, ReadThreadState::Closed);
        drop(state);
        let ReadThreadState::Running(RunningThread { sender, thread }) = before else {
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
