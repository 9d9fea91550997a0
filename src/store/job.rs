//! One job on its way: the caller's closure, its result, and the place its answer goes to.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::WriteError;

/// The transaction a job runs in. It can do what a connection can, except end the transaction: that is the batch's.
pub struct Tx<'batch>(&'batch Connection);

impl<'batch> Tx<'batch> {
    pub(super) fn new(connection: &'batch Connection) -> Tx<'batch> {
        Tx(connection)
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

/// What running a job left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// Keep what it wrote.
    Done,
    /// Take back what it wrote: it refused or panicked.
    Failed,
}

/// What became of the transaction a job ran in (or did not run in).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// On disk.
    Committed,
    /// Rolled back: no room.
    Full,
    /// Rolled back: anything else.
    Failed(String),
    /// Unknown.
    Poisoned(String),
    /// Never begun.
    Closed,
}

impl Fate {
    /// Why nothing was written, where that passes.
    pub(super) fn stall(&self) -> Option<String> {
        match self {
            Fate::Full => Some("the disk is full".to_owned()),
            Fate::Failed(reason) => Some(reason.clone()),
            Fate::Committed | Fate::Poisoned(_) | Fate::Closed => None,
        }
    }
}

/// A job of any type.
pub(super) trait Job: Send {
    /// Runs it, once. A panic is caught.
    fn run(&mut self, tx: &Tx<'_>) -> Ran;
    /// Tells its caller. A refusal, too, is told only of a transaction that was committed: it may rest on what a batch-mate wrote.
    fn answer(self: Box<Self>, fate: &Fate);
}

/// A job with its types.
pub(super) struct Pending<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, WriteError<E>>>,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<T, E, F> Pending<T, E, F> {
    pub(super) fn new(job: F, reply: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Pending {
            job: Some(job),
            result: None,
            reply,
        }
    }
}

impl<T, E, F> Job for Pending<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Ran {
        let Some(job) = self.job.take() else {
            return Ran::Failed;
        };
        let result = match catch_unwind(AssertUnwindSafe(|| job(tx))) {
            Ok(result) => result.map_err(WriteError::Refused),
            Err(payload) => Err(WriteError::Panicked(panic_text(payload.as_ref()))),
        };
        let ran = if result.is_ok() { Ran::Done } else { Ran::Failed };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        let answer = match fate {
            Fate::Committed => self.result.unwrap_or(Err(WriteError::Closed)),
            Fate::Full => Err(WriteError::Full),
            Fate::Failed(reason) => Err(WriteError::Failed(reason.clone())),
            Fate::Poisoned(reason) => Err(WriteError::Poisoned(reason.clone())),
            Fate::Closed => Err(WriteError::Closed),
        };
        // The caller may have gone; the write stands all the same.
        drop(self.reply.send(answer));
    }
}

/// What a panic said, where it said it in words.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
