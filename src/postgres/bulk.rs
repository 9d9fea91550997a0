//! Whole tables, read and written row by row in one transaction, for whoever moves the content of databases.
//! Nothing here hurries: no statement has a time-out, because a large table takes its time.

use std::pin::Pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSqlOwned, ToSql};

use super::connect::{Link, named};
use super::failure::PostgresFailure;
use super::row_value::RowValue;
use super::schema::{self, ClusterId, DatabaseLabel, PostgresSchema};
use super::target::PostgresTarget;

/// Rows that are fetched at once.
const AT_ONCE: u32 = 1_000;
/// Keeps those out who begin to write, and waits for those who do; `common.sql` has the other side of it.
const NO_WRITER_BEGINS: &str = "SELECT pg_advisory_xact_lock(27991890118894963)";

/// A connection for whole tables. Dropping it ends its transaction, and nothing of that is kept.
pub struct BulkConnection {
    link: Link,
    target: PostgresTarget,
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseContent {
    /// It has no table.
    Nothing,
    /// It has tables, and none of this program's.
    Foreign,
    /// It has the tables of a service.
    Ours(DatabaseLabel),
}

impl BulkConnection {
    /// Connects to a server that can be written, and begins no transaction.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn open(target: &PostgresTarget) -> Result<BulkConnection, PostgresFailure> {
        Ok(BulkConnection {
            link: Link::open_without_limits(target).await?,
            target: target.clone(),
        })
    }

    /// The database and its server, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.target.shown()
    }

    /// Runs statements that answer nothing.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn run(&self, sql: &str) -> Result<(), PostgresFailure> {
        let ran = self.link.client().batch_execute(sql).await;
        ran.map_err(|error| self.failed(error))
    }

    /// Runs one statement with its parameters: how many rows it changed.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn change(&self, sql: &str, parameters: &[RowValue]) -> Result<u64, PostgresFailure> {
        let changed = self.link.client().execute(sql, &as_parameters(parameters)).await;
        changed.map_err(|error| self.failed(error))
    }

    /// The first column of the one row that a statement answers, if it answers one.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn value<T: FromSqlOwned>(&self, sql: &str) -> Result<Option<T>, PostgresFailure> {
        let row = self.link.client().query_opt(sql, &[]).await;
        let row = row.map_err(|error| self.failed(error))?;
        let value = row.map(|row| row.try_get(0)).transpose();
        value.map_err(|error| self.failed(error))
    }

    /// What the database says of itself.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn content(&self) -> Result<DatabaseContent, PostgresFailure> {
        let tables = "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%'
                AND n.nspname <> 'information_schema'";
        let tables: i64 = self.value(tables).await?.unwrap_or(0);
        let label = schema::read(self.link.client()).await;
        Ok(match label.map_err(|failure| named(failure, &self.target))? {
            Some(label) => DatabaseContent::Ours(label),
            None if tables == 0 => DatabaseContent::Nothing,
            None => DatabaseContent::Foreign,
        })
    }

    /// Fences every writer off and lets nobody use the database from now on; `reason` says why. Waits for
    /// the transactions that are under way.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn close_to_writers(&self, reason: &str) -> Result<(), PostgresFailure> {
        self.run(&format!("BEGIN; {NO_WRITER_BEGINS}; DELETE FROM writers"))
            .await?;
        let close = "UPDATE cluster_meta SET moved = $1";
        self.change(close, &[RowValue::Text(reason.to_owned())]).await?;
        self.run("COMMIT").await
    }

    /// Lets the database be used again that was closed for this reason.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn open_to_writers(&self, closed_for: &str) -> Result<(), PostgresFailure> {
        let open = "UPDATE cluster_meta SET moved = NULL WHERE moved = $1";
        let reason = [RowValue::Text(closed_for.to_owned())];
        self.change(open, &reason).await.map(drop)
    }

    /// Makes the tables and functions of a service in a database that has none, as a part of the transaction
    /// that is under way. `origin` names the move that fills them.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn make(
        &self,
        schema: &PostgresSchema,
        cluster: &ClusterId,
        origin: &str,
    ) -> Result<(), PostgresFailure> {
        let made = schema::make(self.link.client(), schema, cluster, origin).await;
        made.map_err(|failure| named(failure, &self.target))
    }

    /// Removes the tables and functions of a service, whatever they hold.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn remove(&self, schema: &PostgresSchema) -> Result<(), PostgresFailure> {
        let mut statements = String::from("DROP TABLE cluster_meta;\n");
        for (kind, name) in schema.objects() {
            statements.push_str(&format!("DROP {kind} IF EXISTS {name} CASCADE;\n"));
        }
        self.run(&statements).await
    }

    /// Shows the rows of a statement to `visit`, one after the other, as a part of the transaction that is
    /// under way.
    ///
    /// # Errors
    /// [`PostgresFailure`], and what `visit` fails with.
    pub async fn each_row<E: From<PostgresFailure>>(
        &self,
        sql: &str,
        mut visit: impl AsyncFnMut(&[RowValue]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.run(&format!("DECLARE moved NO SCROLL CURSOR FOR {sql}"))
            .await?;
        let fetch = format!("FETCH {AT_ONCE} FROM moved");
        loop {
            let rows = self.link.client().query(&fetch, &[]).await;
            let rows = rows.map_err(|error| self.failed(error))?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let cells: Result<Vec<RowValue>, _> =
                    (0..row.len()).map(|column| row.try_get(column)).collect();
                visit(&cells.map_err(|error| self.failed(error))?).await?;
            }
        }
        self.run("CLOSE moved").await?;
        Ok(())
    }

    /// Begins to fill a table with rows that have these columns.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn fill(&self, table: &str, columns: &str) -> Result<TableWriter<'_>, PostgresFailure> {
        let failed = |error| self.failed(error);
        let read = format!("SELECT {columns} FROM {table}");
        let statement = self.link.client().prepare(&read).await.map_err(failed)?;
        let types: Vec<_> = statement
            .columns()
            .iter()
            .map(|column| column.type_().clone())
            .collect();
        let copy = format!("COPY {table} ({columns}) FROM STDIN BINARY");
        let sink = self.link.client().copy_in(&copy).await.map_err(failed)?;
        Ok(TableWriter {
            writer: Box::pin(BinaryCopyInWriter::new(sink, &types)),
            connection: self,
        })
    }

    fn failed(&self, error: tokio_postgres::Error) -> PostgresFailure {
        named(error.into(), &self.target)
    }
}

fn as_parameters(cells: &[RowValue]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

/// Fills one table.
pub struct TableWriter<'a> {
    writer: Pin<Box<BinaryCopyInWriter>>,
    connection: &'a BulkConnection,
}

impl TableWriter<'_> {
    /// Adds a row.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn write(&mut self, row: &[RowValue]) -> Result<(), PostgresFailure> {
        let written = self.writer.as_mut().write(&as_parameters(row)).await;
        written.map_err(|error| self.connection.failed(error))
    }

    /// Ends the table: how many rows it got.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn finish(mut self) -> Result<u64, PostgresFailure> {
        let finished = self.writer.as_mut().finish().await;
        finished.map_err(|error| self.connection.failed(error))
    }
}
