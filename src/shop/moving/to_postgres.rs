//! From files to PostgreSQL.

use super::compare::compare_all;
use super::directories::{MoveDirectories, files_in};
use super::lines;
use super::move_error::MoveError;
use super::progress::{MoveProgress, ProgressHook};
use super::service::{MOVED_SERVICES, MovedService};
use super::sqlite::FileReader;
use crate::postgres::{BulkConnection, DatabaseContent, DatabaseLabel};
use crate::shop::engine::{MoveUnderWay, PostgresPlace, StoreFile};

/// Refuses what cannot be moved, before anything is changed.
pub(super) async fn check(directories: &MoveDirectories, place: &PostgresPlace) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        drop(FileReader::open(&directories.data_dir, service)?);
    }
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(place).await?;
        let found = database.content().await?;
        if found != DatabaseContent::Nothing {
            return Err(not_empty(&database, &found));
        }
    }
    Ok(())
}

fn not_empty(database: &BulkConnection, found: &DatabaseContent) -> MoveError {
    let what = match found {
        DatabaseContent::Ours(label) if label.moved.is_some() => {
            format!("what was moved away from {}", label.service)
        }
        DatabaseContent::Ours(label) => format!("the {} of a cluster", label.service),
        DatabaseContent::Foreign | DatabaseContent::Nothing => "tables of another program".to_owned(),
    };
    MoveError::Refused(format!(
        "{} is not empty: it has {what}; name an empty database, or drop it and create it anew",
        database.shown()
    ))
}

/// Copies all services, each in one transaction, if that was not done before.
pub(super) async fn copy(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        let database = service.at_postgres(&under_way.place).await?;
        match database.content().await? {
            DatabaseContent::Nothing => {}
            DatabaseContent::Ours(label) if filled_by(&label, under_way) => continue,
            found => return Err(not_empty(&database, &found)),
        }
        let file = FileReader::open(&directories.data_dir, service)?;
        let rows = fill(service, &file, &database, under_way).await?;
        told(&MoveProgress::Copied {
            service: service.name(),
            rows,
        })?;
    }
    Ok(())
}

fn filled_by(label: &DatabaseLabel, under_way: &MoveUnderWay) -> bool {
    label.origin.as_ref() == Some(&under_way.id)
}

async fn fill(
    service: &MovedService,
    file: &FileReader,
    database: &BulkConnection,
    under_way: &MoveUnderWay,
) -> Result<u64, MoveError> {
    let mut rows = 0;
    database.run("BEGIN").await?;
    let cluster = under_way.place.cluster_id();
    database.make(service.postgres, &cluster, &under_way.id).await?;
    for table in service.tables {
        let mut writer = database.fill(table.name, table.columns).await?;
        let read = file.each_row(table, async |row| Ok(writer.write(row).await?));
        read.await?;
        rows += writer.finish().await?;
    }
    if service.has_events
        && let Some(line) = file.line()?
    {
        lines::write_at_postgres(database, line).await?;
    }
    database.run("COMMIT; ANALYZE").await?;
    Ok(rows)
}

/// Compares all services, and audits the new side.
pub(super) async fn prove(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    compare_all(&directories.data_dir, &under_way.place, told).await?;
    let new_side = StoreFile::Postgres(under_way.place.clone());
    Ok(directories.view(&directories.staging(), &new_side)?)
}

/// Puts the files aside, and has the databases be used.
pub(super) fn finish(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    let kept = directories.kept();
    directories.view(&kept, &StoreFile::Sqlite)?;
    directories.note("PostgreSQL")?;
    for file in files_in(&directories.data_dir) {
        directories.rename(file, &directories.data_dir, &kept)?;
        told(&MoveProgress::Placed {
            file: file.to_owned(),
            to: kept.clone(),
        })?;
    }
    directories.unstage()?;
    Ok(directories.write(&StoreFile::Postgres(under_way.place.clone()))?)
}

/// Removes what was copied. A server that is away may keep it.
pub(super) async fn give_up(
    directories: &MoveDirectories,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        if let Err(error) = remove(under_way, service).await {
            told(&MoveProgress::LeftBehind {
                what: format!("the copy of {} at PostgreSQL ({error})", service.name()),
            })?;
        }
    }
    directories.unstage()?;
    Ok(directories.write(&StoreFile::Sqlite)?)
}

async fn remove(under_way: &MoveUnderWay, service: &MovedService) -> Result<(), MoveError> {
    let database = service.at_postgres(&under_way.place).await?;
    match database.content().await? {
        DatabaseContent::Ours(label) if filled_by(&label, under_way) => {
            Ok(database.remove(service.postgres).await?)
        }
        // This move has filled nothing there.
        DatabaseContent::Ours(_) | DatabaseContent::Foreign | DatabaseContent::Nothing => Ok(()),
    }
}
