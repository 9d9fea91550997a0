//! Opens a database for writing, or refuses it and says what to do. Blocking and fast: a worker that replaces
//! a dead one opens four databases before it answers.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::filesystem::{self, beside};
use super::header::{self, FileState};
use super::integrity::IntegrityMark;
use super::lock::OfdLock;
use super::options::{Schema, StoreOptions, Verify};

/// How long opening waits for another process that recovers or closes the database. Writers queue at the lock
/// file and never wait here.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction waits for another program (a shell, a backup tool) that writes. The writer thread
/// holds the lock meanwhile, which other workers wait for, so this is well below `lock_hold_timeout`.
pub(super) const OTHER_PROGRAM_TIMEOUT: Duration = Duration::from_millis(50);
/// Page cache of one connection, in KiB: the pages of one batch. Another process's commit empties the cache,
/// so a larger one would never fill.
const CACHE_KIB: i64 = 1_024;
/// Prepared statements that a connection keeps. Each service has some dozens; one costs a few KB once it is
/// used.
const STATEMENTS: usize = 64;
/// The first SQLite version in which several processes do not corrupt a shared WAL.
const OLDEST_SQLITE: i32 = 3_051_003;

/// What the writer thread starts with.
pub(super) struct OpenedDatabase {
    pub(super) connection: Connection,
    pub(super) lock: OfdLock,
}

/// Opens and checks the database, and creates or migrates it if necessary.
pub(super) fn open(schema: &Schema, options: &StoreOptions) -> Result<OpenedDatabase, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let path = options.path.as_path();
    filesystem::check(path)?;
    let lock_path = beside(path, ".lock");
    filesystem::check_kind(path)?;
    filesystem::check_kind(&lock_path)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |reason| OpenError::Io { path, reason }
    };
    let lock = OfdLock::open(&lock_path).map_err(io(&lock_path))?;
    let mark = IntegrityMark::read(&lock);
    let missing = |how| OpenError::Missing {
        path: path.to_owned(),
        lock: lock_path.clone(),
        how,
    };
    if mark.is_some() && !path.exists() {
        return Err(missing("missing"));
    }
    create_private(path).map_err(io(path))?;
    let connection = connect(path).map_err(|reason| header::explain(reason, path, schema))?;
    if connection.is_readonly("main").unwrap_or(true) {
        return Err(OpenError::ReadOnly {
            path: path.to_owned(),
        });
    }
    let found = header::inspect(&connection, path, schema)?;
    if mark.is_some() && found == FileState::Empty {
        return Err(missing("empty"));
    }
    if found != FileState::Ready {
        lock.take().map_err(io(&lock_path))?;
        let migrated = bring_up_to_date(&connection, path, schema);
        lock.release().map_err(io(&lock_path))?;
        migrated?;
    }
    writable(&connection).map_err(|reason| header::explain(reason, path, schema))?;
    verify(&connection, path, schema, options.verify, mark, &lock)?;
    Ok(OpenedDatabase { connection, lock })
}

/// Checks as much of the database as there is a reason for, and writes the result into the lock file for the
/// next opening.
fn verify(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    wanted: Verify,
    mark: Option<IntegrityMark>,
    lock: &OfdLock,
) -> Result<(), OpenError> {
    let schema_cookie = connection
        .query_row("PRAGMA schema_version", [], |row| row.get(0))
        .map_err(|reason| header::explain(reason, path, schema))?;
    if wanted == Verify::Pages || mark.is_some_and(|mark| mark.suspect) {
        let looked = header::verify_pages(connection, path, schema);
        looked.inspect_err(|error| {
            if matches!(error, OpenError::Corrupt { .. }) {
                IntegrityMark::mark_suspect(path);
            }
        })?;
    }
    let found = IntegrityMark {
        schema_cookie,
        suspect: false,
    };
    if mark == Some(found) {
        return Ok(());
    }
    header::verify_schema(connection, path, schema)?;
    if let Err(error) = found.write(lock) {
        let file = path.display();
        tracing::warn!(%error, %file, "failed to note in the lock file that the database is sound");
    }
    Ok(())
}

/// Migrates under the write lock. Looks at the header again, because another process may have been faster.
fn bring_up_to_date(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
        .map_err(|reason| header::explain(reason, path, schema))?;
    match header::inspect(connection, path, schema)? {
        FileState::Ready => Ok(()),
        FileState::Empty => header::migrate(connection, path, schema, 0),
        FileState::Behind(from) => header::migrate(connection, path, schema, from),
    }
}

/// A connection that only reads, for another thread.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(connection)
}

fn writable(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
}

/// Makes an empty file of mode 0600 (its WAL gets the same mode), unless the file exists. The file is made
/// under another name and linked into place: closing a descriptor of the database itself would drop the locks
/// of every connection of this process.
fn create_private(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let temporary = beside(
        path,
        &format!(".new-{}-{:x}", std::process::id(), fastrand::u64(..)),
    );
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
