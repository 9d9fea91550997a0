//! `backup`: all four files as they are at one instant. The writers of all files are held up for as long as it takes to begin a
//! read transaction on each; the copies are made from those while orders go on. What is restored is what a power cut at that
//! instant would have left, which the shop is built to start from.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::{FILES, Failure, Where};
use crate::base::exit::Exit;
use crate::shop::audit;
use crate::store::OfdLock;

/// Copy the databases as they are at one instant, beside a running cluster or a stopped one. The copies agree with each
/// other: an order that is in one is in the others as far as it had come, so `doctor` finds the same in them as in the originals.
/// Orders go on meanwhile, but for the moment it takes to begin. To restore: stop the cluster, move the databases of its data
/// directory away together with every -wal and -shm (a WAL of the old files would be played onto the copies), put all four
/// copies in their place, and start it; its incarnation counter and lock files stay. What came after the backup is gone, but for
/// a real provider's charges.
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Where the copies go; must not exist yet.
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let (from, to) = (arguments.place.data_dir, arguments.to);
    let snapshots = at_one_instant(&from)?;
    let made = std::fs::DirBuilder::new().mode(0o700).create(&to);
    made.map_err(|error| {
        Failure(
            Exit::Unwritable,
            format!("failed to make {}: {error}", to.display()),
        )
    })?;
    for ((_, file), snapshot) in FILES.iter().zip(&snapshots) {
        let pages = copy(snapshot, &to.join(file))?;
        println!("{file}: {pages} pages");
    }
    Ok(())
}

/// The locks are taken in one order by everybody who takes more than one: that of the table.
fn at_one_instant(from: &Path) -> Result<Vec<Connection>, Failure> {
    let mut held = Vec::new();
    for (_, file) in FILES {
        let lock = OfdLock::open(&from.join(format!("{file}.lock")))?;
        lock.take()?;
        held.push(lock);
    }
    let mut snapshots = Vec::new();
    for (_, file) in FILES {
        let connection = audit::open(&from.join(file))?;
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
        snapshots.push(connection);
    }
    Ok(snapshots)
}

fn copy(snapshot: &Connection, to: &Path) -> Result<i32, Failure> {
    let mut copy = Connection::open(to)?;
    let backup = Backup::new(snapshot, &mut copy)?;
    let step = backup.step(-1)?;
    let pages = backup.progress().pagecount;
    drop(backup);
    if step != StepResult::Done {
        return Err(Failure(
            Exit::Failed,
            format!("failed to copy to {}: {step:?}", to.display()),
        ));
    }
    drop(copy);
    std::fs::File::open(to)?.sync_all()?;
    Ok(pages)
}
