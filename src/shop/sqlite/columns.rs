//! Domain types as columns. A life is written to and read from a column here and nowhere else.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Error, Result, Row};
use serde::Serialize;

use crate::base::ids::Life;

/// A life as a column holds it: the text `7/0/3`.
pub(in crate::shop) struct StoredLife(pub(in crate::shop) Life);

impl ToSql for StoredLife {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.to_string()))
    }
}

impl FromSql for StoredLife {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<StoredLife> {
        let life = value.as_str()?.parse::<Life>();
        life.map(StoredLife)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A text column of a type that checks its text.
pub(in crate::shop) fn validated<T: TryFrom<String>>(row: &Row<'_>, column: usize) -> Result<T>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.get(column)?).map_err(|error| invalid(column, error))
}

/// The error for a text column whose text cannot be read.
pub(in crate::shop) fn invalid(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// A value as a column of JSON.
pub(in crate::shop) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have only string keys and cannot fail to be written")
}

/// A number of rows as a parameter of a statement.
pub(in crate::shop) fn row_count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
