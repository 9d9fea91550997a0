//! A database that is opened to be read only, by whoever works on a data directory without a worker.

use tokio_postgres::types::FromSqlOwned;

use super::Columns;
use crate::postgres::{Bind, Call, DatabaseSnapshot, PostgresSchema, PostgresTarget, Row};
use crate::shop::contract::StorageError;
use crate::shop::engine::PostgresPlace;

/// A service's database that is opened for reading only, beside a running cluster or without one.
pub(in crate::shop) struct DatabaseReader {
    target: Box<PostgresTarget>,
    schema: &'static PostgresSchema,
}

impl DatabaseReader {
    /// Of the service with that schema, whose database is looked at once to see whether it is one that this
    /// program reads.
    pub(in crate::shop) async fn open(
        place: &PostgresPlace,
        schema: &'static PostgresSchema,
    ) -> Result<DatabaseReader, StorageError> {
        let target = Box::new(place.target(schema.name)?);
        let reader = DatabaseReader { target, schema };
        let version = "SELECT service, version FROM cluster_meta";
        let rows = reader.rows(Call::new(version)).await;
        let rows = rows.map_err(|error| match error {
            StorageError::Failed(reason) => {
                StorageError::Unusable(format!("it has no orders of ours: {reason}"))
            }
            other => other,
        })?;
        let row = Columns(rows.first().ok_or_else(|| unusable(schema, "nothing"))?);
        let (service, version): (String, i32) = (row.get(0)?, row.get(1)?);
        if service != schema.name || version < schema.version() {
            return Err(unusable(schema, &format!("version {version} of {service}")));
        }
        Ok(reader)
    }

    /// One instant of it.
    pub(in crate::shop) async fn snapshot(&self) -> Result<DatabaseSnapshot, StorageError> {
        Ok(DatabaseSnapshot::begin(&self.target).await?)
    }

    /// The rows of one statement.
    pub(in crate::shop) async fn rows(&self, call: Call) -> Result<Vec<Row>, StorageError> {
        Ok(self.snapshot().await?.read(call).await?)
    }

    /// The tables, views and functions that the migrations made and that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        let made: Vec<String> = self.schema.objects().into_iter().map(|(_, name)| name).collect();
        let gone = "SELECT name FROM unnest($1) AS name WHERE to_regclass(name) IS NULL
            AND NOT EXISTS (SELECT 1 FROM pg_proc WHERE proname = name)";
        let rows = self.rows(Call::new(gone).bind(made)).await?;
        rows.iter().map(|row| Columns(row).get(0)).collect()
    }

    /// What the server knows of broken pages: `ok`, or how many there were. It checks those that it reads, if
    /// it was set up with checksums.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        let failures = "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database
            WHERE datname = current_database()";
        let rows = self.rows(Call::new(failures)).await?;
        let failures = rows.first().map_or(Ok(0), |row| Columns(row).count(0))?;
        Ok(match failures {
            0 => "ok".to_owned(),
            many => format!("the server has read {many} pages with a wrong checksum"),
        })
    }
}

/// Shows every row of a table to `visit`, some at once, as of one instant. `sql` selects rows in the order of
/// their first column, which is never the same in two of them: those behind `$1`, and at most `$2`.
pub(in crate::shop) async fn each_row<K: Bind + FromSqlOwned>(
    snapshot: &DatabaseSnapshot,
    sql: &'static str,
    (before_all, at_once): (K, i64),
    mut visit: impl FnMut(Columns<'_>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut after = before_all;
    loop {
        let rows = snapshot.read(Call::new(sql).bind(after).bind(at_once)).await?;
        for row in &rows {
            visit(Columns(row))?;
        }
        match rows.last() {
            Some(last) => after = Columns(last).get(0)?,
            None => return Ok(()),
        }
    }
}

fn unusable(schema: &PostgresSchema, found: &str) -> StorageError {
    StorageError::Unusable(format!(
        "the database holds {found}, expected version {} of {}: start the cluster with this program once",
        schema.version(),
        schema.name
    ))
}
