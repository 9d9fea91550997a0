//! `backup`: copies all four databases as they are at one instant. A read transaction is begun on each
//! database, one after the other. They are of one instant when no process committed to any database
//! meanwhile; the copies are made from these transactions while orders go on. A restored backup is what a
//! power cut at that instant would have left, which the shop is built to start from. The locks of the writers
//! are not held while that succeeds, so a backup that is stopped (Ctrl-Z) stops no writer. Only when writes
//! come without a pause are the locks taken, for the begin of the four transactions.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::{CommandFailure, DataDirOption, FILES};
use crate::base::exit::Exit;
use crate::shop::evidence::{audit, consistency};
use crate::store::OfdLock;

/// How many times the transactions are begun without the locks before the locks are taken.
const MAX_TRIES: u32 = 500;
/// The longest pause between two of these tries, in microseconds.
const MAX_PAUSE_US: u64 = 4_000;

/// Copy the databases as they are at one instant, beside a running cluster or a stopped one. The copies agree
/// with each other: an order that is in one is in the others as far as it had come, so `doctor` finds the
/// same in them as in the originals. Orders go on meanwhile. Every page of the copies is checked; DIR appears
/// when all of them are whole, or not at all. To restore: stop the cluster, move the databases of its data
/// directory away together with every -wal and -shm (a WAL of the old files would be played onto the copies),
/// put all four copies in their place, and start it; its incarnation counter and lock files stay. In a new
/// data directory the copy of the incarnation counter goes beside them. What came after the backup is gone,
/// but for a real provider's charges.
#[derive(Debug, clap::Parser)]
pub(super) struct BackupArguments {
    #[command(flatten)]
    data: DataDirOption,
    /// The directory for the copies; it must not exist yet.
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn run(arguments: BackupArguments) -> Result<(), CommandFailure> {
    let (from, to) = (arguments.data.data_dir, arguments.to);
    let unmade = |error: io::Error| {
        CommandFailure(
            Exit::Unwritable,
            format!("failed to make {}: {error}", to.display()),
        )
    };
    let name = to.file_name().filter(|_| to.symlink_metadata().is_err());
    let Some(name) = name else {
        return Err(unmade(io::ErrorKind::AlreadyExists.into()));
    };
    let snapshots = at_one_instant(&from)?;
    let name = format!(".{}.partial-{}", name.to_string_lossy(), std::process::id());
    let partial = to.with_file_name(name);
    DirBuilder::new().mode(0o700).create(&partial).map_err(unmade)?;
    let copied = copy_all(&from, &snapshots, &partial).and_then(|pages| {
        std::fs::rename(&partial, &to).map_err(unmade)?;
        Ok(pages)
    });
    let pages = copied.inspect_err(|_| drop(std::fs::remove_dir_all(&partial)))?;
    let around = to.parent().filter(|around| !around.as_os_str().is_empty());
    File::open(around.unwrap_or(Path::new(".")))?.sync_all()?;
    for ((_, file), pages) in FILES.iter().zip(pages) {
        println!("{file}: {pages} pages");
    }
    Ok(())
}

/// Begins a read transaction on each database, all of the same instant.
fn at_one_instant(from: &Path) -> Result<Vec<Connection>, CommandFailure> {
    let open_all = || -> rusqlite::Result<Vec<Connection>> {
        FILES
            .iter()
            .map(|(_, file)| audit::open_any(&from.join(file)))
            .collect()
    };
    let (snapshots, watchers) = (open_all()?, open_all()?);
    for _ in 0..MAX_TRIES {
        let before = versions(&watchers)?;
        begin(&snapshots)?;
        if versions(&watchers)? == before {
            return Ok(snapshots);
        }
        each(&snapshots, "ROLLBACK")?;
        std::thread::sleep(Duration::from_micros(fastrand::u64(..MAX_PAUSE_US)));
    }
    under_the_locks(from, &snapshots)?;
    Ok(snapshots)
}

/// Begins the transactions while all write locks are held. The locks are taken in the order of [`FILES`],
/// which every process that takes more than one must keep. Ctrl-Z is blocked meanwhile.
fn under_the_locks(from: &Path, snapshots: &[Connection]) -> Result<(), CommandFailure> {
    let stops = SigSet::from(Signal::SIGTSTP);
    stops.thread_block()?;
    let mut held = Vec::new();
    for (_, file) in FILES {
        let lock = OfdLock::open(&from.join(format!("{file}.lock")))?;
        lock.take()?;
        held.push(lock);
    }
    let begun = begin(snapshots);
    drop(held);
    stops.thread_unblock()?;
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

/// Copies everything and returns the number of pages of each database. The incarnation counter is read last,
/// so that it is not behind the snapshots.
fn copy_all(from: &Path, snapshots: &[Connection], to: &Path) -> Result<Vec<i32>, CommandFailure> {
    let pages = FILES
        .iter()
        .zip(snapshots)
        .map(|((_, file), snapshot)| copy(snapshot, file, &to.join(file)))
        .collect::<Result<Vec<_>, _>>()?;
    match std::fs::read(from.join(consistency::COUNTER)) {
        Ok(counter) => {
            let file = create_private(&to.join(consistency::COUNTER))?;
            io::Write::write_all(&mut &file, &counter)?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    File::open(to)?.sync_all()?;
    Ok(pages)
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn copy(snapshot: &Connection, file: &str, to: &Path) -> Result<i32, CommandFailure> {
    create_private(to)?;
    let mut copy = Connection::open(to)?;
    let backup = Backup::new(snapshot, &mut copy)?;
    let step = backup.step(-1)?;
    let pages = backup.progress().pagecount;
    drop(backup);
    if step != StepResult::Done {
        return Err(CommandFailure(
            Exit::Failed,
            format!("failed to copy {file}: {step:?}"),
        ));
    }
    let verdict = copy.query_row("PRAGMA quick_check(3)", [], |row| row.get::<_, String>(0));
    let verdict = verdict.unwrap_or_else(|error| error.to_string());
    if verdict != "ok" {
        let why = format!(
            "{file} has broken pages, and nothing was made of it: {verdict}\nkeep the backups that there are; `doctor` checks all \
             files and says what to do"
        );
        return Err(CommandFailure(Exit::BadData, why));
    }
    drop(copy);
    File::open(to)?.sync_all()?;
    Ok(pages)
}
