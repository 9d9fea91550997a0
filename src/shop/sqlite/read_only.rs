//! Opens a service's database for reading. A file that is not what its name says, or has another schema
//! version than this program reads, is refused with its path. Nothing is written, so this works on a
//! read-only file system, too.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use rusqlite::{Connection, Error, OpenFlags, ffi};

use crate::shop::contract::StorageError;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::Schema;

/// The databases and their schemas.
pub(in crate::shop) const DATABASES: [(&str, &Schema); 4] = [
    (orders::FILE, &orders::SCHEMA),
    (inventory::FILE, &inventory::SCHEMA),
    (payments::FILE, &payments::SCHEMA),
    (sandbox::FILE, &sandbox::SCHEMA),
];

/// A service's database that is opened for reading only, beside a running cluster or without one.
pub(in crate::shop) struct ReadOnlyDatabase {
    connection: Connection,
    schema: &'static Schema,
}

impl ReadOnlyDatabase {
    /// Opens a database of the schema version that this program knows.
    pub(in crate::shop) fn open(
        data_dir: &Path,
        file: &str,
        schema: &'static Schema,
    ) -> Result<ReadOnlyDatabase, StorageError> {
        let connection = open(&data_dir.join(file))?;
        Ok(ReadOnlyDatabase { connection, schema })
    }

    /// The connection, for statements.
    pub(in crate::shop) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The tables, indexes, views and triggers that the migrations made and that are gone, as text.
    pub(in crate::shop) fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        Ok(self.schema.lost_from(&self.connection)?)
    }

    /// Checks every page, and the agreement of tables and indexes: `ok`, or what is broken.
    pub(in crate::shop) fn check_pages(&self) -> Result<String, StorageError> {
        let check = "PRAGMA integrity_check(5)";
        Ok(self.connection.query_row(check, [], |row| row.get(0))?)
    }
}

/// The schema version of the database at that path; `None` when there is none, or it cannot be read.
pub(in crate::shop) fn schema_version(path: &Path) -> Option<i64> {
    let connection = path.exists().then(|| open_any(path).ok()).flatten()?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    version.ok()
}

/// Whether the database at that path holds a row of that table; `false` when it cannot be read.
pub(in crate::shop) fn holds_any(path: &Path, table: &str) -> bool {
    let any = format!("SELECT EXISTS (SELECT 1 FROM {table})");
    path.exists()
        && open_any(path)
            .is_ok_and(|connection| connection.query_row(&any, [], |row| row.get(0)).unwrap_or(false))
}

/// Opens a database of the schema version that this program knows, for reading only.
///
/// # Errors
/// As [`open_any`]; and `SQLITE_SCHEMA` when the schema is older or newer than this program's.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_any(path)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Some((_, schema)) = known(path) else {
        return Ok(connection);
    };
    let expected = schema.version();
    let remedy = match found.cmp(&expected) {
        Ordering::Equal => return Ok(connection),
        Ordering::Less => {
            "use the program that the cluster runs, or start (or reload) the cluster with this one first, \
             which brings the file up to date"
        }
        Ordering::Greater => "use the program that the cluster runs",
    };
    let what = format!("has schema version {found}, expected {expected}: {remedy}; nothing was changed");
    Err(error(path, ffi::SQLITE_SCHEMA, &what))
}

fn known(path: &Path) -> Option<&'static (&'static str, &'static Schema)> {
    let name = path.file_name()?;
    DATABASES.iter().find(|(file, _)| name == *file)
}

/// Opens a database of any schema version, for reading only.
///
/// # Errors
/// SQLite's, with the path; and `SQLITE_NOTADB` when the file is not what its name says.
pub(crate) fn open_any(path: &Path) -> rusqlite::Result<Connection> {
    check_readable(path)?;
    let named = |cause: Error| error(path, code(&cause), &format!("cannot be read: {cause}"));
    let connection = connect(path).map_err(named)?;
    let application_id: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(named)?;
    if let Some((_, schema)) = known(path)
        && application_id != schema.application_id
    {
        let (service, expected) = (schema.name, schema.application_id);
        let what = DATABASES
            .iter()
            .find(|(_, other)| other.application_id == application_id)
            .map_or_else(
                || format!("is empty, or of another program (application_id {application_id:#x})"),
                |(_, other)| format!("is the {} database", other.name),
            );
        let what = format!(
            "{what}; expected the {service} database ({expected:#x}): put the right file back, or restore \
             the newest backup"
        );
        return Err(error(path, ffi::SQLITE_NOTADB, &what));
    }
    Ok(connection)
}

fn check_readable(path: &Path) -> rusqlite::Result<()> {
    match access(path, AccessFlags::R_OK) {
        Err(Errno::ENOENT | Errno::ENOTDIR) if has_sibling(path) => Err(error(
            path,
            ffi::SQLITE_NOTADB,
            "is not there, and other databases of its cluster are: restore all four from one backup",
        )),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Err(error(
            path,
            ffi::SQLITE_CANTOPEN,
            "is not there; expected a cluster's --data-dir",
        )),
        Err(Errno::EACCES) => Err(error(
            path,
            ffi::SQLITE_PERM,
            "may not be read by this user: run the command as root or as the user of the workers",
        )),
        // What else is wrong with the file is told by SQLite.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether another database lies beside this one.
fn has_sibling(path: &Path) -> bool {
    DATABASES
        .iter()
        .any(|(file, _)| path.with_file_name(file).exists())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = if is_immutable(path) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable_uri(path), flags)?
    } else {
        // A reader of a database that is being written must be able to write its -shm.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(path, flags)?
    };
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000")?;
    Ok(connection)
}

/// Whether no file can be made beside the database and there is no WAL with content: only then is the
/// database file complete by itself.
fn is_immutable(path: &Path) -> bool {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let log = std::fs::metadata(PathBuf::from(wal)).map_or(0, |log| log.len());
    log == 0 && access(directory, AccessFlags::W_OK).is_err()
}

fn immutable_uri(path: &Path) -> String {
    let path = path.display().to_string();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

fn code(error: &Error) -> i32 {
    error
        .sqlite_error()
        .map_or(ffi::SQLITE_ERROR, |error| error.extended_code)
}

fn error(path: &Path, code: i32, what: &str) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), Some(format!("{} {what}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(file: &str, schema: &Schema) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        let id = schema.application_id;
        let version = schema.version();
        let made = format!(
            "PRAGMA journal_mode = wal; PRAGMA application_id = {id}; PRAGMA user_version = {version}; \
             CREATE TABLE t (a)"
        );
        Connection::open(&path).unwrap().execute_batch(&made).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_that_is_missing_empty_or_another_database_is_refused_with_its_name() {
        let (directory, path) = made(orders::FILE, &payments::SCHEMA);
        let says = |path: &Path| open(path).unwrap_err().to_string();
        let told = says(&path);
        assert!(told.contains("orders.db is the payments database"), "{told}");
        std::fs::write(&path, "").unwrap();
        assert!(says(&path).contains("orders.db is empty"));
        std::fs::write(&path, "x".repeat(4096)).unwrap();
        assert!(says(&path).contains("orders.db cannot be read: file is not a database"));
        let gone = directory.path().join(sandbox::FILE);
        assert!(says(&gone).contains("sandbox.db is not there"));
    }

    #[test]
    fn a_file_of_another_version_is_refused_with_a_remedy_and_can_still_be_backed_up() {
        let (_directory, path) = made(orders::FILE, &orders::SCHEMA);
        let known = orders::SCHEMA.version();
        for (found, remedy) in [
            (known - 1, "start (or reload)"),
            (known + 1, "use the program that"),
        ] {
            let renumbered = format!("PRAGMA user_version = {found}");
            Connection::open(&path)
                .unwrap()
                .execute_batch(&renumbered)
                .unwrap();
            let told = open(&path).unwrap_err().to_string();
            assert!(
                told.contains(&format!("version {found}, expected {known}")),
                "{told}"
            );
            assert!(told.contains(remedy), "{told}");
            open_any(&path).unwrap();
        }
    }

    #[test]
    fn an_immutable_file_is_read_without_a_file_beside_it() {
        let (directory, path) = made(orders::FILE, &orders::SCHEMA);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(immutable_uri(&path), flags).unwrap();
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 0);
        let beside = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(beside, 1, "something was made beside the file");
        assert!(!is_immutable(&path), "its directory can be written");
    }
}
