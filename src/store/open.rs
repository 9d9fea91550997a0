//! From a path to a connection that may be written through, or to a refusal that says what to do. Blocking, and fast: a worker
//! that replaces a dead one opens four of these before it answers.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::filesystem;
use super::header::{self, Found};
use super::integrity::Seal;
use super::lock::OfdLock;
use super::options::{Options, Schema, Verify};

/// Writers queue at the lock file and never wait here; what may is an opening against another's recovery or last close.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Once open, only another program (a shell, a backup tool) can keep a writer from its transaction. It waits for that under the
/// lock that its siblings wait for, so not for long: well below `lock_hold_timeout`.
pub(super) const STRANGERS_TIMEOUT: Duration = Duration::from_millis(50);
/// Another process's commit empties a connection's page cache, so a larger one would never fill: this holds one batch's pages.
const CACHE_KIB: i64 = 1_024;
/// Each service has some dozens of statements; one more costs a few KB when it is used, and nothing before.
const STATEMENTS: usize = 64;
/// The first SQLite without the WAL-reset corruption between processes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// What a writer thread starts with.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) lock: OfdLock,
}

/// Opens, checks and if need be creates or migrates.
pub(super) fn open(schema: &Schema, options: &Options) -> Result<Opened, OpenError> {
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
    let seal = Seal::read(&lock);
    let missing = |how| OpenError::Missing {
        path: path.to_owned(),
        lock: lock_path.clone(),
        how,
    };
    if seal.is_some() && !path.exists() {
        return Err(missing("missing"));
    }
    create_private(path).map_err(io(path))?;
    let connection = connect(path).map_err(|reason| header::explain(reason, path, schema))?;
    if connection.is_readonly("main").unwrap_or(true) {
        return Err(OpenError::ReadOnly {
            path: path.to_owned(),
        });
    }
    let found = header::look(&connection, path, schema)?;
    if seal.is_some() && found == Found::Empty {
        return Err(missing("empty"));
    }
    if found != Found::Ready {
        lock.take().map_err(io(&lock_path))?;
        let migrated = bring_up_to_date(&connection, path, schema);
        lock.release().map_err(io(&lock_path))?;
        migrated?;
    }
    writable(&connection).map_err(|reason| header::explain(reason, path, schema))?;
    verify(&connection, path, schema, options.verify, seal, &lock)?;
    Ok(Opened { connection, lock })
}

/// As close a look as there is a reason for; what was found is written beside the file for the next opening.
fn verify(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    wanted: Verify,
    seal: Option<Seal>,
    lock: &OfdLock,
) -> Result<(), OpenError> {
    let cookie = connection
        .query_row("PRAGMA schema_version", [], |row| row.get(0))
        .map_err(|reason| header::explain(reason, path, schema))?;
    if wanted == Verify::Pages || seal.is_some_and(|seal| seal.suspect) {
        let looked = header::verify_pages(connection, path, schema);
        looked.inspect_err(|error| {
            if matches!(error, OpenError::Corrupt { .. }) {
                Seal::break_for(path);
            }
        })?;
    }
    let found = Seal {
        cookie,
        suspect: false,
    };
    if seal == Some(found) {
        return Ok(());
    }
    header::verify_schema(connection, path, schema)?;
    if let Err(error) = found.write(lock) {
        tracing::warn!(%error, path = %path.display(), "the lock file does not take a note about its database");
    }
    Ok(())
}

/// Under the write lock; another process may have been faster, so it looks again.
fn bring_up_to_date(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
        .map_err(|reason| header::explain(reason, path, schema))?;
    match header::look(connection, path, schema)? {
        Found::Ready => Ok(()),
        Found::Empty => header::migrate(connection, path, schema, 0),
        Found::Behind(from) => header::migrate(connection, path, schema, from),
    }
}

/// A connection that only reads, for another thread.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
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

/// An empty file of mode 0600 (its WAL takes the same mode), unless there is one. Made under another name and linked into place:
/// closing a descriptor of the database itself would drop the locks of every connection of this process.
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

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
