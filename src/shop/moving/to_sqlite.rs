//! From PostgreSQL to files.

use std::io;

use super::compare::{READ, compare_all};
use super::directories::{MoveDirectories, files_in};
use super::lines;
use super::move_error::MoveError;
use super::progress::{MoveProgress, ProgressHook};
use super::service::{MOVED_SERVICES, MovedService};
use super::sqlite::FileWriter;
use crate::postgres::{BulkConnection, DatabaseContent};
use crate::shop::engine::{HOST_ID, MoveUnderWay, PostgresPlace, StoreFile};
use crate::sys::durable::{Durability, replace_file};

/// The file that says that all files were made.
const COMPLETE: &str = "complete";

/// Refuses what cannot be moved, before anything is changed.
pub(super) async fn check(directories: &MoveDirectories, place: &PostgresPlace) -> Result<(), MoveError> {
    if let [file, ..] = files_in(&directories.data_dir)[..] {
        return Err(MoveError::Refused(format!(
            "{} has a {file} already: remove it, or move it away",
            directories.data_dir.display()
        )));
    }
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(place).await?;
        let (expected, version) = (service.name(), service.postgres.version());
        match database.content().await? {
            DatabaseContent::Ours(label)
                if label.service == expected
                    && label.cluster == place.cluster
                    && label.version == version
                    && label.moved.is_none() => {}
            DatabaseContent::Ours(label) if label.version != version => {
                return Err(MoveError::Refused(format!(
                    "{} has version {} of the {expected}, expected {version}: start the cluster with this \
                     program once",
                    database.shown(),
                    label.version
                )));
            }
            DatabaseContent::Ours(_) | DatabaseContent::Foreign | DatabaseContent::Nothing => {
                return Err(MoveError::Refused(format!(
                    "{} has not the {expected} of this cluster",
                    database.shown()
                )));
            }
        }
    }
    Ok(())
}

/// What the databases say from now on.
fn closed(under_way: &MoveUnderWay) -> String {
    format!(
        "its content was moved to files of the data directory (move {})",
        under_way.id
    )
}

/// Lets nobody write into the old side.
pub(super) async fn close(under_way: &MoveUnderWay) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(&under_way.place).await?;
        database.close_to_writers(&closed(under_way)).await?;
    }
    Ok(())
}

/// Copies all services into new files, if that was not done before.
pub(super) async fn copy(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    let staging = directories.staging();
    if staging.join(COMPLETE).exists() {
        return Ok(());
    }
    directories.unstage()?;
    directories.view(&staging, &StoreFile::Sqlite)?;
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(&under_way.place).await?;
        let file = FileWriter::make(&staging, service)?;
        let rows = fill(service, &database, file).await?;
        told(&MoveProgress::Copied {
            service: service.name(),
            rows,
        })?;
    }
    directories.sync(&staging)?;
    replace_file(&staging.join(COMPLETE), b"", Durability::PowerCut)?;
    told(&MoveProgress::FilesAreMade)
}

async fn fill(
    service: &MovedService,
    database: &BulkConnection,
    mut file: FileWriter,
) -> Result<u64, MoveError> {
    let mut rows = 0;
    database.run(READ).await?;
    for table in service.tables {
        file.begin(table);
        let sql = table.read_at_postgres();
        let read = database.each_row(&sql, async |row| {
            rows += 1;
            file.write(row).await
        });
        read.await?;
        file.flush().await?;
    }
    let line = match service.has_events {
        true => lines::read_at_postgres(database).await?,
        false => None,
    };
    database.run("COMMIT").await?;
    file.finish(line).await?;
    Ok(rows)
}

/// Compares all services; the audit finds the new side in the directory of the new files.
pub(super) async fn prove(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    compare_all(&directories.staging(), &under_way.place, told).await
}

/// Puts the files where they belong, and has them be used. The databases at PostgreSQL stay as they are.
pub(super) fn finish(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    let (kept, staging) = (directories.kept(), directories.staging());
    directories.view(&kept, &StoreFile::Postgres(under_way.place.clone()))?;
    directories.note("files")?;
    if staging.exists() {
        directories.own_all(&staging)?;
    }
    for file in files_in(&staging) {
        directories.rename(file, &staging, &directories.data_dir)?;
        told(&MoveProgress::Placed {
            file: file.to_owned(),
            to: directories.data_dir.clone(),
        })?;
    }
    directories.unstage()?;
    directories.write(&StoreFile::Sqlite)?;
    // The owners in files are of this host alone, and so are those of a later move to databases.
    directories.remove(HOST_ID)?;
    Ok(())
}

/// Opens the old side again, and removes the files that were made.
pub(super) async fn give_up(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(&under_way.place).await?;
        database.open_to_writers(&closed(under_way)).await?;
    }
    directories.unstage()?;
    let restored = directories.write(&StoreFile::Postgres(under_way.place.clone()));
    restored.map_err(|error: io::Error| error.into())
}
