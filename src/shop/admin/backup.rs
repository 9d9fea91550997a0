//! `backup`: copies all four databases as they are at one instant, while orders go on. A restored backup is
//! what a power cut at that instant would have left, which the shop is built to start from.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{CommandFailure, DataDirOption};
use crate::base::exit::Exit;
use crate::shop::engine::StoreEngine;
use crate::shop::evidence::consistency;
use crate::shop::sqlite::snapshots::{CopiedDatabase, CopyError, Snapshots, create_private, keep_owner};
use crate::worker::print_line;

/// Copy the databases as they are at one instant, beside a running cluster or a stopped one. The copies agree
/// with each other: an order that is in one is in the others as far as it had come, so `doctor` finds the
/// same in them as in the originals. Orders go on meanwhile. Every page of the copies is checked; DIR appears
/// when all of them are whole, or not at all. To restore: stop the cluster, move the databases of its data
/// directory away together with every -wal and -shm (a WAL of the old files would be played onto the copies),
/// put all four copies in their place, and start it; its incarnation counter and lock files stay. In a new
/// data directory the copy of the incarnation counter goes beside them. The copies that root makes have the
/// owners of the originals: with `--user`, put them in place with `mv` or `cp -p`, or the workers may not
/// open them. What came after the backup is gone, but for a real provider's charges.
#[derive(Debug, clap::Parser)]
pub(super) struct BackupArguments {
    #[command(flatten)]
    data: DataDirOption,
    /// The directory for the copies; it must not exist yet.
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// What is said of databases that are no files.
const AT_POSTGRES: &str = "the databases are PostgreSQL's, which has tools of its own. Beside a running \
    cluster: pg_basebackup of the whole server with its WAL (-X stream), or an archive of the WAL for a \
    restore to a point in time; both have all four databases as of one instant. Of a stopped cluster: \
    pg_dump of each database. Keep a copy of the data directory's incarnation and cluster.id with it";

pub(super) fn run(arguments: BackupArguments) -> Result<(), CommandFailure> {
    let (from, to) = (arguments.data.data_dir, arguments.to);
    if StoreEngine::of(&from)?.is_postgres() {
        return Err(CommandFailure(Exit::Refused, AT_POSTGRES.to_owned()));
    }
    let unmade = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::DiskFailed,
            _ => Exit::Unwritable,
        };
        let reason = match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists already; name a directory that does not".to_owned(),
            _ => error.to_string(),
        };
        CommandFailure(exit, format!("failed to make {}: {reason}", to.display()))
    };
    let name = to.file_name().filter(|_| to.symlink_metadata().is_err());
    let Some(name) = name else {
        return Err(unmade(io::ErrorKind::AlreadyExists.into()));
    };
    let snapshots = Snapshots::begin(&from).map_err(not_copied)?;
    let name = format!(".{}.partial-{}", name.to_string_lossy(), std::process::id());
    let partial = to.with_file_name(name);
    DirBuilder::new().mode(0o700).create(&partial).map_err(unmade)?;
    let copied = copy_all(&from, &snapshots, &partial).and_then(|copied| {
        std::fs::rename(&partial, &to).map_err(unmade)?;
        Ok(copied)
    });
    let copied = copied.inspect_err(|_| drop(std::fs::remove_dir_all(&partial)))?;
    let around = to.parent().filter(|around| !around.as_os_str().is_empty());
    sync_directory(around.unwrap_or(Path::new("."))).map_err(unwritten)?;
    for CopiedDatabase { file, pages } in copied {
        print_line(&format!("{file}: {pages} pages"))?;
    }
    Ok(())
}

/// Copies everything. The incarnation counter is read last, so that it is not behind the snapshots.
fn copy_all(from: &Path, snapshots: &Snapshots, to: &Path) -> Result<Vec<CopiedDatabase>, CommandFailure> {
    let copied = snapshots.copy_to(to).map_err(not_copied)?;
    for CopiedDatabase { file, .. } in &copied {
        keep_owner(&from.join(file), &to.join(file));
    }
    match std::fs::read(from.join(consistency::COUNTER)) {
        Ok(counter) => write_synced(&to.join(consistency::COUNTER), &counter).map_err(unwritten)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    sync_directory(to).map_err(unwritten)?;
    Ok(copied)
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = create_private(path)?;
    io::Write::write_all(&mut &file, content)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unwritten(error: io::Error) -> CommandFailure {
    CommandFailure(Exit::DiskFailed, format!("failed to write the backup: {error}"))
}

fn not_copied(error: CopyError) -> CommandFailure {
    match error {
        CopyError::Broken { .. } => CommandFailure(Exit::BadData, error.to_string()),
        CopyError::NotDone { .. } => CommandFailure(Exit::Failed, error.to_string()),
        CopyError::Storage(error) => error.into(),
        CopyError::Lock(error) => error.into(),
        CopyError::Unwritten(error) => unwritten(error),
    }
}
