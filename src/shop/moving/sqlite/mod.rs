//! The side of the files: their rows are read one after the other, and new files are filled.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter};

use super::lines::EventLine;
use super::move_error::MoveError;
use super::service::MovedService;
use crate::postgres::RowValue;
use crate::scoreboard::Board;
use crate::shop::contract::StorageError;
use crate::shop::postgres::MovedTable;
use crate::shop::sqlite::event_streams;
use crate::shop::sqlite::read_only::ReadOnlyDatabase;
use crate::store::{Admission, Store, StoreOptions, Tx};

/// Rows that are written in one transaction.
const AT_ONCE: usize = 2_000;

impl ToSql for RowValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            RowValue::Null => ValueRef::Null,
            RowValue::Integer(number) => ValueRef::Integer(*number),
            RowValue::Text(text) => ValueRef::Text(text.as_bytes()),
            RowValue::Bytes(bytes) => ValueRef::Blob(bytes),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

fn cells(row: &Row<'_>) -> rusqlite::Result<Vec<RowValue>> {
    let cell = |column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => RowValue::Null,
            ValueRef::Integer(number) => RowValue::Integer(number),
            ValueRef::Blob(bytes) => RowValue::Bytes(bytes.to_vec()),
            ValueRef::Text(_) | ValueRef::Real(_) => RowValue::Text(row.get(column)?),
        })
    };
    (0..row.as_ref().column_count()).map(cell).collect()
}

/// The file of a service, opened for reading.
pub(super) struct FileReader(ReadOnlyDatabase);

impl FileReader {
    /// Opens the file of that directory.
    pub(super) fn open(directory: &Path, service: &MovedService) -> Result<FileReader, StorageError> {
        ReadOnlyDatabase::open(directory, service.file, service.schema).map(FileReader)
    }

    /// Shows the rows of a table to `visit`, one after the other.
    pub(super) async fn each_row(
        &self,
        table: &MovedTable,
        mut visit: impl AsyncFnMut(&[RowValue]) -> Result<(), MoveError>,
    ) -> Result<(), MoveError> {
        let mut statement = self
            .0
            .connection()
            .prepare(&table.read_in_file())
            .map_err(StorageError::from)?;
        let mut rows = statement.query([]).map_err(StorageError::from)?;
        while let Some(row) = rows.next().map_err(StorageError::from)? {
            visit(&cells(row).map_err(StorageError::from)?).await?;
        }
        Ok(())
    }

    /// The line of its events; `None` when it has none yet.
    pub(super) fn line(&self) -> Result<Option<EventLine>, StorageError> {
        Ok(line(self.0.connection())?)
    }
}

fn line(connection: &Connection) -> rusqlite::Result<Option<EventLine>> {
    let (oldest, _) = event_streams::ends(connection)?;
    let read = "SELECT id, removed_ms FROM event_stream";
    let line = connection.query_row(read, [], |row| {
        Ok(EventLine {
            id: row.get(0)?,
            removed_number: oldest.cast_signed() - 1,
            removed_ms: row.get(1)?,
        })
    });
    line.optional()
}

/// A new file that is filled.
pub(super) struct FileWriter {
    store: Store,
    sql: String,
    rows: Vec<Vec<RowValue>>,
}

impl FileWriter {
    /// Makes the file in that directory.
    pub(super) fn make(directory: &Path, service: &MovedService) -> Result<FileWriter, MoveError> {
        let cell = Board::private().cell(service.schema.name);
        let cell = cell.ok_or_else(|| StorageError::Failed("no cell for a writer".to_owned()))?;
        let options = StoreOptions::new(directory.join(service.file), cell);
        let store = Store::open(service.schema, options);
        let store = store.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        Ok(FileWriter {
            store,
            sql: String::new(),
            rows: Vec::new(),
        })
    }

    /// The next rows are those of this table.
    pub(super) fn begin(&mut self, table: &MovedTable) {
        self.sql = table.write_in_file();
    }

    /// Adds a row.
    pub(super) async fn write(&mut self, row: &[RowValue]) -> Result<(), MoveError> {
        self.rows.push(row.to_vec());
        match self.rows.len() {
            AT_ONCE.. => self.flush().await,
            _ => Ok(()),
        }
    }

    /// Writes the rows that wait.
    pub(super) async fn flush(&mut self) -> Result<(), MoveError> {
        let (sql, rows) = (self.sql.clone(), std::mem::take(&mut self.rows));
        if rows.is_empty() {
            return Ok(());
        }
        let job = move |tx: &Tx<'_>| {
            let mut insert = tx.prepare_cached(&sql)?;
            for row in &rows {
                insert.execute(params_from_iter(row))?;
            }
            Ok(())
        };
        let written = self.store.write(Admission::Continue, job).await;
        Ok(written.map_err(StorageError::from)?)
    }

    /// Writes the line of the events, whose numbers may have gaps, and ends.
    pub(super) async fn finish(self, line: Option<EventLine>) -> Result<(), MoveError> {
        if let Some(line) = line {
            event_streams::move_here(&self.store, (line.id, line.removed_number, line.removed_ms)).await?;
        }
        self.store.close();
        Ok(())
    }
}
