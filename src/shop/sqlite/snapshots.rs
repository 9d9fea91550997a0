//! All databases as they are at one instant, and copies of them. A read transaction is begun on each
//! database, one after the other. They are of one instant when no process committed to any database
//! meanwhile. The locks of the writers are not held while that succeeds, so a backup that is stopped (Ctrl-Z)
//! stops no writer. Only when writes come without a pause are the locks taken, for the begin of the
//! transactions.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::event_streams;
use super::read_only::{DATABASES, open_any};
use crate::shop::contract::StorageError;
use crate::store::OfdLock;

/// How many times the transactions are begun without the locks before the locks are taken.
const MAX_TRIES: u32 = 500;
/// The longest pause between two of these tries, in microseconds.
const MAX_PAUSE_US: u64 = 4_000;

/// A read transaction on each database, all of the same instant.
pub(in crate::shop) struct Snapshots(Vec<Connection>);

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub(in crate::shop) enum CopyError {
    #[error("failed to copy {file}: {step}")]
    NotDone { file: &'static str, step: String },
    #[error(
        "{file} has broken pages, and nothing was made of it: {verdict}\nkeep the backups that there are; `doctor` checks \
         all files and says what to do"
    )]
    Broken { file: &'static str, verdict: String },
    #[error(transparent)]
    Storage(StorageError),
    #[error(transparent)]
    Lock(io::Error),
    #[error(transparent)]
    Unwritten(io::Error),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> CopyError {
        CopyError::Storage(error.into())
    }
}

/// One copied database.
pub(in crate::shop) struct CopiedDatabase {
    pub(in crate::shop) file: &'static str,
    pub(in crate::shop) pages: i32,
}

impl Snapshots {
    /// Begins a read transaction on each database under `from`.
    pub(in crate::shop) fn begin(from: &Path) -> Result<Snapshots, CopyError> {
        let open_all = || {
            let opened = DATABASES.iter().map(|(file, _)| open_any(&from.join(file)));
            opened.collect::<rusqlite::Result<Vec<_>>>()
        };
        let (snapshots, watchers) = (open_all()?, open_all()?);
        for _ in 0..MAX_TRIES {
            if began_at_one_instant(&snapshots, &watchers)? {
                return Ok(Snapshots(snapshots));
            }
            std::thread::sleep(Duration::from_micros(fastrand::u64(..MAX_PAUSE_US)));
        }
        begin_under_the_locks(from, &snapshots)?;
        Ok(Snapshots(snapshots))
    }

    /// Copies all databases into the directory `to`, and checks every page of the copies.
    pub(in crate::shop) fn copy_to(&self, to: &Path) -> Result<Vec<CopiedDatabase>, CopyError> {
        let copies = DATABASES.iter().zip(&self.0);
        copies
            .map(|((file, _), snapshot)| copy(snapshot, file, &to.join(file)))
            .collect()
    }
}

fn began_at_one_instant(snapshots: &[Connection], watchers: &[Connection]) -> rusqlite::Result<bool> {
    let before = versions(watchers)?;
    begin(snapshots)?;
    if versions(watchers)? == before {
        return Ok(true);
    }
    each(snapshots, "ROLLBACK")?;
    Ok(false)
}

/// Begins the transactions while all write locks are held. The locks are taken in the order of [`DATABASES`],
/// which every process that takes more than one must keep. Ctrl-Z is blocked meanwhile.
fn begin_under_the_locks(from: &Path, snapshots: &[Connection]) -> Result<(), CopyError> {
    let stops = SigSet::from(Signal::SIGTSTP);
    stops
        .thread_block()
        .map_err(io::Error::from)
        .map_err(CopyError::Lock)?;
    let mut held = Vec::new();
    for (file, _) in DATABASES {
        let lock = OfdLock::open(&from.join(format!("{file}.lock"))).map_err(CopyError::Lock)?;
        lock.take().map_err(CopyError::Lock)?;
        held.push(lock);
    }
    let begun = begin(snapshots);
    drop(held);
    stops
        .thread_unblock()
        .map_err(io::Error::from)
        .map_err(CopyError::Lock)?;
    Ok(begun?)
}

fn begin(snapshots: &[Connection]) -> rusqlite::Result<()> {
    each(snapshots, "BEGIN; SELECT count(*) FROM sqlite_schema")
}

fn each(connections: &[Connection], sql: &str) -> rusqlite::Result<()> {
    connections
        .iter()
        .try_for_each(|connection| connection.execute_batch(sql))
}

/// The data versions of the databases, which change with every commit of any process. The connections must
/// hold no transaction.
fn versions(watchers: &[Connection]) -> rusqlite::Result<Vec<i64>> {
    watchers
        .iter()
        .map(|watcher| watcher.query_row("PRAGMA data_version", [], |row| row.get(0)))
        .collect()
}

/// Copies one database into the new file `to`, and checks every page of the copy.
fn copy(snapshot: &Connection, file: &'static str, to: &Path) -> Result<CopiedDatabase, CopyError> {
    drop(create_private(to).map_err(CopyError::Unwritten)?);
    let mut copy = Connection::open(to)?;
    let backup = Backup::new(snapshot, &mut copy)?;
    let step = backup.step(-1)?;
    let pages = backup.progress().pagecount;
    drop(backup);
    if step != StepResult::Done {
        return Err(CopyError::NotDone {
            file,
            step: format!("{step:?}"),
        });
    }
    let verdict = copy.query_row("PRAGMA quick_check(3)", [], |row| row.get::<_, String>(0));
    let verdict = verdict.or_else(|error| match StorageError::from(error) {
        // Pages that cannot be read are no broken pages.
        disk @ (StorageError::Full(_) | StorageError::DiskFailed(_)) => Err(CopyError::Storage(disk)),
        error => Ok(error.to_string()),
    })?;
    if verdict != "ok" {
        return Err(CopyError::Broken { file, verdict });
    }
    event_streams::end_line_of_copy(&copy)?;
    drop(copy);
    let synced = File::open(to).and_then(|file| file.sync_all());
    synced.map_err(CopyError::Unwritten)?;
    Ok(CopiedDatabase { file, pages })
}

/// Gives the copy the owner of the original, if this user may do so (root may).
pub(in crate::shop) fn keep_owner(original: &Path, copy: &Path) {
    if let Ok(owner) = original.metadata() {
        let _ = std::os::unix::fs::lchown(copy, Some(owner.uid()), Some(owner.gid()));
    }
}

/// Creates a file that only this user can read.
pub(in crate::shop) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
