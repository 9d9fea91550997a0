//! One write on its way: the caller's closure, its result, and the channel its answer goes to.

use std::any::Any;
use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{WAL_NEEDS_THE_DISK, WriteError, WriteStall, WriteStallCause};

/// The transaction that a job runs in. A job can do with it what it can do with a connection, but must not
/// end the transaction: the batch ends it.
pub struct Tx<'batch> {
    connection: &'batch Connection,
    signals: Cell<bool>,
}

impl<'batch> Tx<'batch> {
    pub(super) fn new(connection: &'batch Connection) -> Tx<'batch> {
        let signals = Cell::new(false);
        Tx { connection, signals }
    }

    /// Has [`StoreOptions::on_signal`](super::StoreOptions::on_signal) called once the transaction is
    /// committed, for readers that wait for what this job writes.
    pub fn signal_after_commit(&self) {
        self.signals.set(true);
    }

    pub(super) fn signals(&self) -> bool {
        self.signals.get()
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// What is to be done with the writes of a job that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// They are kept.
    Keep,
    /// They are rolled back: the job refused or panicked.
    RollBack,
}

/// Why nothing is written while another program has a transaction open.
const OTHER_PROGRAM_WRITES: &str = "another program has been writing the database for too long";

/// What became of the transaction that a job ran in, or should have run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TxOutcome {
    /// The writes are on disk.
    Committed,
    /// Rolled back, because the disk is full.
    Full,
    /// Never begun, because the rest of the disk is needed to copy the WAL into the database.
    WalKept,
    /// Never begun, because another program has locked the database for long.
    OtherProgram,
    /// Rolled back for the reason given.
    Failed(String),
    /// Whether the writes are on disk is unknown.
    Poisoned(String),
}

impl TxOutcome {
    /// Why nothing was written, where the reason may pass by itself.
    pub(super) fn stall(&self) -> Option<WriteStall> {
        let (cause, reason) = match self {
            TxOutcome::Full => (WriteStallCause::DiskFull, "the disk is full"),
            TxOutcome::WalKept => (WriteStallCause::WalKept, WAL_NEEDS_THE_DISK),
            TxOutcome::OtherProgram => (WriteStallCause::OtherProgram, OTHER_PROGRAM_WRITES),
            TxOutcome::Failed(reason) => (WriteStallCause::Failed, reason.as_str()),
            TxOutcome::Committed | TxOutcome::Poisoned(_) => return None,
        };
        let reason = reason.to_owned();
        Some(WriteStall { cause, reason })
    }
}

/// A write of any type.
pub(super) trait WriteJob: Send {
    /// Runs the job, once. A panic is caught.
    fn run(&mut self, tx: &Tx<'_>) -> JobEnd;
    /// Answers the caller. A refusal, too, is told only after the transaction was committed, because it may
    /// rest on what another job of the batch wrote.
    fn answer(self: Box<Self>, outcome: &TxOutcome);
}

/// A write with its types.
pub(super) struct QueuedWrite<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, WriteError<E>>>,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<T, E, F> QueuedWrite<T, E, F> {
    pub(super) fn new(job: F, reply: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        QueuedWrite {
            job: Some(job),
            result: None,
            reply,
        }
    }
}

impl<T, E, F> WriteJob for QueuedWrite<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> JobEnd {
        let Some(job) = self.job.take() else {
            return JobEnd::RollBack;
        };
        let result = match catch_unwind(AssertUnwindSafe(|| job(tx))) {
            Ok(result) => result.map_err(WriteError::Refused),
            Err(payload) => Err(WriteError::Panicked(panic_text(payload.as_ref()))),
        };
        let ran = if result.is_ok() {
            JobEnd::Keep
        } else {
            JobEnd::RollBack
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, outcome: &TxOutcome) {
        let answer = match outcome {
            TxOutcome::Committed => self.result.unwrap_or(Err(WriteError::Closed)),
            TxOutcome::Full => Err(WriteError::Full),
            TxOutcome::WalKept => Err(WriteError::WalKept),
            TxOutcome::OtherProgram => Err(WriteError::OtherProgram),
            TxOutcome::Failed(reason) => Err(WriteError::Failed(reason.clone())),
            TxOutcome::Poisoned(reason) => Err(WriteError::Poisoned(reason.clone())),
        };
        // The caller may have gone; the write stands all the same.
        drop(self.reply.send(answer));
    }
}

/// The message of a panic, where it is text.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
