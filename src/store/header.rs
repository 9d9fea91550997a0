//! Whose database a file is, and of which version. A file that does not fit is refused or migrated. This
//! module reads and writes only SQLite's own header fields.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::error::OpenError;
use super::options::Schema;

/// What the header says of a file that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// The file is ours, in WAL mode, with every migration applied.
    Ready,
    /// The file is empty: every migration is to run.
    Empty,
    /// The file is ours; the migrations from this version on are to run (or only the journal mode is to be
    /// set).
    Behind(i64),
}

/// Reads the header. A file that is not ours is an error, and is not changed.
pub(super) fn inspect(connection: &Connection, path: &Path, schema: &Schema) -> Result<FileState, OpenError> {
    let explain = |reason| explain(reason, path, schema);
    // One snapshot, because another process may be in the middle of a migration.
    let snapshot = connection.unchecked_transaction().map_err(explain)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application_id: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(explain)?;
    let found = number("PRAGMA user_version").map_err(explain)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(explain)?;
    snapshot.finish().map_err(explain)?;
    let empty = application_id == 0 && found == 0 && tables == 0;
    if application_id != schema.application_id && !empty {
        let expected = schema.application_id;
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            name: schema.name,
            found: application_id,
            expected,
        });
    }
    if empty {
        return Ok(FileState::Empty);
    }
    let known = schema.version();
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(explain)?;
    Ok(if found == known && mode == "wal" {
        FileState::Ready
    } else {
        FileState::Behind(found)
    })
}

/// Applies the missing migrations in one transaction. The caller holds the write lock.
pub(super) fn migrate(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    from: i64,
) -> Result<(), OpenError> {
    let to = schema.version();
    let done = usize::try_from(from).unwrap_or(0);
    let steps = schema.migrations.iter().skip(done).copied().collect::<String>();
    let apply = || -> rusqlite::Result<()> {
        connection.execute_batch(&format!("BEGIN IMMEDIATE;\n{steps}"))?;
        // SQLite does not count a migration that only edits the text of the schema as a change. Raising the
        // number makes other processes read the schema again.
        let cookie: i64 = connection.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
        connection.execute_batch(&format!(
            "PRAGMA schema_version = {};\nPRAGMA application_id = {};\nPRAGMA user_version = {to};\nCOMMIT;",
            cookie + 1,
            schema.application_id
        ))
    };
    apply().map_err(|reason| {
        // When there is no transaction this fails, and there is nothing to undo.
        drop(connection.execute_batch("ROLLBACK"));
        OpenError::Migration {
            path: path.to_owned(),
            from,
            to,
            reason,
        }
    })
}

/// Checks every page; the error names the first faults.
pub(super) fn verify_pages(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let verdict = connection
        .query_row("PRAGMA quick_check(3)", [], |row| row.get::<_, String>(0))
        .map_err(|reason| explain(reason, path, schema))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(OpenError::Corrupt {
            path: path.to_owned(),
            reason: verdict,
        })
    }
}

impl Schema {
    /// Names every table, index, view and trigger that the migrations make and that is missing (`the index
    /// "a"`). Only reads.
    ///
    /// # Errors
    /// SQLite's.
    pub fn lost_from(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let pristine = Connection::open_in_memory()?;
        pristine.execute_batch(&self.migrations.concat())?;
        let expected: Vec<(String, String)> = pristine
            .prepare("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut known = connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2")?;
        let mut lost = Vec::new();
        for (kind, name) in expected {
            if !known.exists((&kind, &name))? {
                lost.push(format!("the {kind} {name:?}"));
            }
        }
        Ok(lost)
    }
}

/// Checks that nothing which the migrations make is missing.
pub(super) fn verify_schema(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let lost = schema.lost_from(connection);
    let lost = lost.map_err(|reason| explain(reason, path, schema))?;
    match lost.into_iter().next() {
        None => Ok(()),
        Some(what) => Err(OpenError::Incomplete {
            path: path.to_owned(),
            what,
        }),
    }
}

/// Turns SQLite's error into one that tells an operator what to do.
pub(super) fn explain(reason: rusqlite::Error, path: &Path, schema: &Schema) -> OpenError {
    let path = path.to_owned();
    match reason.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase {
            path,
            name: schema.name,
        },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path,
            reason: reason.to_string(),
        },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        Some(_) | None => OpenError::Sqlite { path, reason },
    }
}
