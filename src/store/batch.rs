//! Many jobs, one transaction: a savepoint each, one COMMIT for all. Decides what each caller may be told.
//! Must not know where jobs come from or who holds which lock.

use rusqlite::{Connection, ffi};

use super::job::{Fate, Job, Ran, Tx};
use crate::sys;

/// A job that ran, and what became of it where that differs from its batch.
pub(super) struct RanJob {
    job: Box<dyn Job>,
    alone: Option<Fate>,
}

impl RanJob {
    /// Why it alone was not written, where that passes.
    pub(super) fn stalled(&self) -> Option<String> {
        self.alone.as_ref().and_then(Fate::stall)
    }

    /// Tells its caller.
    pub(super) fn answer(self, fate: &Fate) {
        // A batch that came to nothing takes everyone with it.
        let alone = self.alone.filter(|_| *fate == Fate::Committed);
        self.job.answer(alone.as_ref().unwrap_or(fate));
    }
}

/// Why there is no transaction.
pub(super) enum NotBegun {
    /// A program that does not know of our lock writes the file.
    Stranger,
    /// Anything else.
    Failed(Fate),
}

/// Begins the transaction of a batch.
pub(super) fn begin(connection: &Connection) -> Result<(), NotBegun> {
    statement(connection, "BEGIN IMMEDIATE").map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => NotBegun::Stranger,
        Some(_) | None => NotBegun::Failed(fate_of(&error)),
    })
}

/// Runs the jobs from the front of `jobs` in the transaction that was begun. Those it ran move to `ran`; those that stay in `jobs` were not
/// begun (the transaction was lost before their turn) and can run in another one.
pub(super) fn run(connection: &Connection, jobs: &mut Vec<Box<dyn Job>>, ran: &mut Vec<RanJob>) -> Fate {
    let savepoints = jobs.len() > 1;
    let mut kept = 0;
    let mut lost = None;
    let mut left = std::mem::take(jobs).into_iter();
    for job in left.by_ref() {
        let (job, step) = run_one(connection, job, savepoints);
        ran.push(job);
        match step {
            Step::Kept => kept += 1,
            Step::TakenBack => (),
            Step::Lost(fate) => {
                lost = Some(fate);
                break;
            }
        }
    }
    jobs.extend(left);
    let fate = match lost {
        Some(fate) => fate,
        // Every refusal is the truth about the committed state, since nothing of this transaction was written.
        None if kept == 0 => return end(connection, "ROLLBACK"),
        None => end(connection, "COMMIT"),
    };
    if fate != Fate::Committed && !connection.is_autocommit() {
        // Fails only when it is rolled back already, which is what is wanted.
        drop(statement(connection, "ROLLBACK"));
    }
    fate
}

/// No transaction could be had: `fate` is everyone's.
pub(super) fn none(jobs: &mut Vec<Box<dyn Job>>, ran: &mut Vec<RanJob>, fate: Fate) -> Fate {
    ran.extend(jobs.drain(..).map(|job| RanJob { job, alone: None }));
    fate
}

/// What one job left of the transaction.
enum Step {
    Kept,
    TakenBack,
    Lost(Fate),
}

fn run_one(connection: &Connection, mut job: Box<dyn Job>, savepoints: bool) -> (RanJob, Step) {
    if savepoints && let Err(error) = statement(connection, "SAVEPOINT job") {
        let fate = fate_of(&error);
        return (RanJob { job, alone: None }, Step::Lost(fate));
    }
    let ran = job.run(&Tx::new(connection));
    // What the job's own error type hides: whether it failed for a reason that concerns more than itself.
    let code = sys::sqlite::extended_errcode(connection);
    let alone = if ran == Ran::Failed {
        graver_than_a_refusal(code)
    } else {
        None
    };
    let step = if connection.is_autocommit() {
        // FULL, IOERR and NOMEM may roll back the whole transaction, and every savepoint with it.
        Step::Lost(
            alone
                .clone()
                .unwrap_or_else(|| Fate::Failed(format!("the transaction was lost, code {code}"))),
        )
    } else if let Some(poison @ Fate::Poisoned(_)) = &alone {
        Step::Lost(poison.clone())
    } else {
        settle(connection, ran, savepoints)
    };
    (RanJob { job, alone }, step)
}

fn settle(connection: &Connection, ran: Ran, savepoints: bool) -> Step {
    let settled = match ran {
        Ran::Done if savepoints => statement(connection, "RELEASE job"),
        Ran::Failed if savepoints => {
            statement(connection, "ROLLBACK TO job").and_then(|()| statement(connection, "RELEASE job"))
        }
        Ran::Done | Ran::Failed => Ok(()),
    };
    match (settled, ran) {
        (Err(error), _) => Step::Lost(fate_of(&error)),
        (Ok(()), Ran::Done) => Step::Kept,
        (Ok(()), Ran::Failed) => Step::TakenBack,
    }
}

fn end(connection: &Connection, sql: &str) -> Fate {
    match statement(connection, sql) {
        Ok(()) => Fate::Committed,
        Err(error) => fate_of(&error),
    }
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

fn fate_of(error: &rusqlite::Error) -> Fate {
    let code = error
        .sqlite_error()
        .map_or(ffi::SQLITE_ERROR, |inner| inner.extended_code);
    graver_than_a_refusal(code).unwrap_or_else(|| Fate::Failed(error.to_string()))
}

/// What an extended result code means for the transaction, where it is more than one statement's failure.
fn graver_than_a_refusal(code: i32) -> Option<Fate> {
    let says = || ffi::code_to_str(code).to_owned();
    match (code & 0xff, code) {
        (ffi::SQLITE_FULL, _) => Some(Fate::Full),
        // Linux reports a failed fsync once and then forgets the pages: a second attempt that succeeds would be a lie.
        (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
            Some(Fate::Poisoned(format!("fsync failed ({})", says())))
        }
        (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, _)
        | (_, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA) => Some(Fate::Poisoned(format!(
            "the database file is corrupt ({}); restore it from a backup",
            says()
        ))),
        (ffi::SQLITE_IOERR | ffi::SQLITE_NOMEM, _) => Some(Fate::Failed(says())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fsync_poisons_and_a_full_disk_does_not() {
        assert!(matches!(
            graver_than_a_refusal(ffi::SQLITE_IOERR_FSYNC),
            Some(Fate::Poisoned(_))
        ));
        assert!(matches!(
            graver_than_a_refusal(ffi::SQLITE_CORRUPT_INDEX),
            Some(Fate::Poisoned(_))
        ));
        assert_eq!(graver_than_a_refusal(ffi::SQLITE_FULL), Some(Fate::Full));
        assert!(matches!(
            graver_than_a_refusal(ffi::SQLITE_IOERR_WRITE),
            Some(Fate::Failed(_))
        ));
    }

    #[test]
    fn a_broken_constraint_concerns_its_job_alone() {
        assert_eq!(graver_than_a_refusal(ffi::SQLITE_CONSTRAINT_UNIQUE), None);
        assert_eq!(graver_than_a_refusal(ffi::SQLITE_OK), None);
    }
}
