//! Many jobs in one transaction: a savepoint for each, one COMMIT for all. This module decides what each
//! caller may be told. It must not know where jobs come from or who holds which lock.

use rusqlite::{Connection, ffi};

use super::error::WriteStall;
use super::job::{JobEnd, Tx, TxOutcome, WriteJob};
use crate::sys;

/// A job that ran, and its own outcome where that differs from the batch's.
pub(super) struct FinishedJob {
    job: Box<dyn WriteJob>,
    own_outcome: Option<TxOutcome>,
    /// The job asked for a signal after the commit.
    signals: bool,
}

impl FinishedJob {
    fn not_run(job: Box<dyn WriteJob>) -> FinishedJob {
        FinishedJob {
            job,
            own_outcome: None,
            signals: false,
        }
    }

    /// Whether readers wait for what this job wrote.
    pub(super) fn signals(&self) -> bool {
        self.signals && self.own_outcome.is_none()
    }

    /// Why this job alone was not written, where the reason may pass by itself.
    pub(super) fn stalled(&self) -> Option<WriteStall> {
        self.own_outcome.as_ref().and_then(TxOutcome::stall)
    }

    /// Answers the caller of the job.
    pub(super) fn answer(self, outcome: &TxOutcome) {
        // When the batch was not committed, its outcome is that of every job.
        let own = self.own_outcome.filter(|_| *outcome == TxOutcome::Committed);
        self.job.answer(own.as_ref().unwrap_or(outcome));
    }
}

/// Why a transaction was not begun.
pub(super) enum NotBegun {
    /// A program that does not take our lock is writing the database.
    OtherProgram,
    /// SQLite failed in another way.
    Failed(TxOutcome),
}

/// Begins the transaction of a batch.
pub(super) fn begin(connection: &Connection) -> Result<(), NotBegun> {
    statement(connection, "BEGIN IMMEDIATE").map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => NotBegun::OtherProgram,
        Some(_) | None => NotBegun::Failed(outcome_of(&error)),
    })
}

/// Runs the jobs from the front of `jobs` in the transaction that was begun. Those that ran move to
/// `finished`; those that stay in `jobs` were not begun, because the transaction was lost before their turn,
/// and can run in another one.
pub(super) fn run(
    connection: &Connection,
    jobs: &mut Vec<Box<dyn WriteJob>>,
    finished: &mut Vec<FinishedJob>,
) -> TxOutcome {
    let savepoints = jobs.len() > 1;
    let mut kept = 0;
    let mut lost = None;
    let mut left = std::mem::take(jobs).into_iter();
    for job in left.by_ref() {
        let (job, effect) = run_one(connection, job, savepoints);
        finished.push(job);
        match effect {
            JobEffect::Kept => kept += 1,
            JobEffect::RolledBack => (),
            JobEffect::TransactionLost(outcome) => {
                lost = Some(outcome);
                break;
            }
        }
    }
    jobs.extend(left);
    let outcome = match lost {
        Some(outcome) => outcome,
        // Every refusal is true of the committed state, because this transaction wrote nothing.
        None if kept == 0 => return end_transaction(connection, "ROLLBACK"),
        None => end_transaction(connection, "COMMIT"),
    };
    if outcome != TxOutcome::Committed && !connection.is_autocommit() {
        // This fails only when the transaction is rolled back already, which is what is wanted.
        drop(statement(connection, "ROLLBACK"));
    }
    outcome
}

/// No transaction was begun: every job gets `outcome`.
pub(super) fn fail_all(
    jobs: &mut Vec<Box<dyn WriteJob>>,
    finished: &mut Vec<FinishedJob>,
    outcome: TxOutcome,
) -> TxOutcome {
    finished.extend(jobs.drain(..).map(FinishedJob::not_run));
    outcome
}

/// What one job did to the transaction.
enum JobEffect {
    Kept,
    RolledBack,
    TransactionLost(TxOutcome),
}

fn run_one(
    connection: &Connection,
    mut job: Box<dyn WriteJob>,
    savepoints: bool,
) -> (FinishedJob, JobEffect) {
    if savepoints && let Err(error) = statement(connection, "SAVEPOINT job") {
        let outcome = outcome_of(&error);
        return (FinishedJob::not_run(job), JobEffect::TransactionLost(outcome));
    }
    let tx = Tx::new(connection);
    let end = job.run(&tx);
    let signals = tx.signals() && end == JobEnd::Keep;
    // The job's own error type hides whether it failed for a reason that concerns more than this job.
    let code = sys::sqlite::extended_errcode(connection);
    let own_outcome = if end == JobEnd::RollBack {
        outcome_of_code(code)
    } else {
        None
    };
    let effect = if connection.is_autocommit() {
        // FULL, IOERR and NOMEM may roll back the whole transaction with every savepoint.
        JobEffect::TransactionLost(
            own_outcome
                .clone()
                .unwrap_or_else(|| TxOutcome::Failed(format!("the transaction was lost, code {code}"))),
        )
    } else if let Some(poison @ TxOutcome::Poisoned(_)) = &own_outcome {
        JobEffect::TransactionLost(poison.clone())
    } else {
        end_savepoint(connection, end, savepoints)
    };
    let finished = FinishedJob {
        job,
        own_outcome,
        signals,
    };
    (finished, effect)
}

fn end_savepoint(connection: &Connection, end: JobEnd, savepoints: bool) -> JobEffect {
    let ended = match end {
        JobEnd::Keep if savepoints => statement(connection, "RELEASE job"),
        JobEnd::RollBack if savepoints => {
            statement(connection, "ROLLBACK TO job").and_then(|()| statement(connection, "RELEASE job"))
        }
        JobEnd::Keep | JobEnd::RollBack => Ok(()),
    };
    match (ended, end) {
        (Err(error), _) => JobEffect::TransactionLost(outcome_of(&error)),
        (Ok(()), JobEnd::Keep) => JobEffect::Kept,
        (Ok(()), JobEnd::RollBack) => JobEffect::RolledBack,
    }
}

fn end_transaction(connection: &Connection, sql: &str) -> TxOutcome {
    match statement(connection, sql) {
        Ok(()) => TxOutcome::Committed,
        Err(error) => outcome_of(&error),
    }
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

fn outcome_of(error: &rusqlite::Error) -> TxOutcome {
    let code = error
        .sqlite_error()
        .map_or(ffi::SQLITE_ERROR, |inner| inner.extended_code);
    outcome_of_code(code).unwrap_or_else(|| TxOutcome::Failed(error.to_string()))
}

/// What an extended result code means for the transaction, where it is more than one statement's failure.
fn outcome_of_code(code: i32) -> Option<TxOutcome> {
    let says = || ffi::code_to_str(code).to_owned();
    match (code & 0xff, code) {
        (ffi::SQLITE_FULL, _) => Some(TxOutcome::Full),
        // Linux reports a failed fsync once and then forgets the pages: a second fsync that succeeds proves
        // nothing.
        (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
            Some(TxOutcome::Poisoned(format!("fsync failed ({})", says())))
        }
        (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, _)
        | (_, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA) => Some(TxOutcome::Poisoned(format!(
            "the database file is corrupt ({}); restore it from a backup",
            says()
        ))),
        (ffi::SQLITE_IOERR | ffi::SQLITE_NOMEM, _) => Some(TxOutcome::Failed(says())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fsync_poisons_and_a_full_disk_does_not() {
        assert!(matches!(
            outcome_of_code(ffi::SQLITE_IOERR_FSYNC),
            Some(TxOutcome::Poisoned(_))
        ));
        assert!(matches!(
            outcome_of_code(ffi::SQLITE_CORRUPT_INDEX),
            Some(TxOutcome::Poisoned(_))
        ));
        assert_eq!(outcome_of_code(ffi::SQLITE_FULL), Some(TxOutcome::Full));
        assert!(matches!(
            outcome_of_code(ffi::SQLITE_IOERR_WRITE),
            Some(TxOutcome::Failed(_))
        ));
    }

    #[test]
    fn a_broken_constraint_concerns_its_job_alone() {
        assert_eq!(outcome_of_code(ffi::SQLITE_CONSTRAINT_UNIQUE), None);
        assert_eq!(outcome_of_code(ffi::SQLITE_OK), None);
    }
}
