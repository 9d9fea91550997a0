//! Both sides are read again from beginning to end, and must be the same in every value; and the new side
//! must be sound by itself.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::lines;
use super::move_error::MoveError;
use super::progress::{MoveProgress, ProgressHook};
use super::service::{MOVED_SERVICES, MovedService};
use super::sqlite::FileReader;
use super::tables::TableDigest;
use crate::postgres::BulkConnection;
use crate::shop::engine::PostgresPlace;
use crate::shop::evidence::audit::{self, Audit, Moment};

/// Reads a database as of one instant.
pub(super) const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Compares the files of a directory with the databases, all services.
pub(super) async fn compare_all(
    files: &Path,
    place: &PostgresPlace,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    for service in &MOVED_SERVICES {
        let file = FileReader::open(files, service)?;
        let database = service.at_postgres(place).await?;
        told(&compare(service, &file, &database).await?)?;
    }
    Ok(())
}

async fn compare(
    service: &MovedService,
    file: &FileReader,
    database: &BulkConnection,
) -> Result<MoveProgress, MoveError> {
    database.run(READ).await?;
    let (mut rows, mut hash) = (0, Sha256::new());
    for table in service.tables {
        let (mut there, mut here) = (TableDigest::new(), TableDigest::new());
        let read = file.each_row(table, async |row| {
            there.add(row);
            Ok(())
        });
        read.await?;
        let sql = table.read_at_postgres();
        let read = database.each_row(&sql, async |row| {
            here.add(row);
            Ok::<(), MoveError>(())
        });
        read.await?;
        let (in_file, at_postgres) = (there.rows(), here.rows());
        let same = there.hash();
        if same != here.hash() {
            return Err(MoveError::Unlike {
                service: service.name(),
                table: table.name,
                in_file,
                at_postgres,
            });
        }
        rows += in_file;
        hash.update(same);
    }
    if service.has_events && file.line()? != lines::read_at_postgres(database).await? {
        return Err(MoveError::Unlike {
            service: service.name(),
            table: "event_stream",
            in_file: 1,
            at_postgres: 1,
        });
    }
    database.run("COMMIT").await?;
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(MoveProgress::Compared {
        service: service.name(),
        rows,
        digest,
    })
}

/// Audits the databases that the directory names, and refuses what is not sound.
pub(super) async fn audited(directory: &Path) -> Result<Audit, MoveError> {
    let audit = audit::check(directory, Moment::Any).await?;
    match audit.violations.as_slice() {
        [] => Ok(audit),
        violations => Err(MoveError::Unsound(violations.join("\n"))),
    }
}

/// What is told of an audit that found nothing.
pub(super) fn sound(audit: &Audit) -> MoveProgress {
    MoveProgress::Sound {
        confirmed: audit.confirmed,
        rejected: audit.rejected,
        unfinished: audit.pending + audit.parked,
    }
}
