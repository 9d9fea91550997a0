//! Whole tables, read and written row by row in one transaction, for whoever moves the content of databases.
//! Nothing here hurries: no statement has a time-out, because a large table takes its time.

use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSqlOwned, ToSql};

use super::connect::{Link, named};
use super::driven_client::DrivenClient;
use super::failure::PostgresFailure;
use super::row_value::RowValue;
use super::schema::{self, ClusterId, PostgresSchema};
use super::target::PostgresTarget;

/// Rows that are fetched at once.
const AT_ONCE: u32 = 1_000;
/// A server that does not answer for so long while it is connected to is given up.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection for whole tables. Dropping it ends its transaction, and nothing of that is kept.
pub struct BulkConnection {
    client: DrivenClient,
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
    Ours {
        /// The service.
        service: String,
        /// The cluster that it belongs to.
        cluster: String,
        /// The version of its tables.
        version: i32,
        /// The move that filled it.
        origin: Option<String>,
        /// Where its content has gone.
        moved: Option<String>,
    },
}

impl BulkConnection {
    /// Connects to a server that can be written, and begins no transaction.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn open(target: &PostgresTarget) -> Result<BulkConnection, PostgresFailure> {
        // Judges the server.
        drop(Link::open(target).await?);
        let late = || PostgresFailure::Unreachable("the server does not answer".to_owned());
        let connected = tokio::time::timeout(CONNECT, DrivenClient::connect(target)).await;
        let connected = connected.unwrap_or_else(|_| Err(late()));
        Ok(BulkConnection {
            client: connected.map_err(|failure| named(failure, target))?,
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
        let ran = self.client.batch_execute(sql).await;
        ran.map_err(|error| self.failed(error))
    }

    /// Runs one statement with its parameters: how many rows it changed.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn change(&self, sql: &str, parameters: &[RowValue]) -> Result<u64, PostgresFailure> {
        let changed = self.client.execute(sql, &as_parameters(parameters)).await;
        changed.map_err(|error| self.failed(error))
    }

    /// The first column of the one row that a statement answers, if it answers one.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn value<T: FromSqlOwned>(&self, sql: &str) -> Result<Option<T>, PostgresFailure> {
        let row = self.client.query_opt(sql, &[]).await;
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
        let is_ours = "SELECT to_regclass('cluster_meta') IS NOT NULL";
        let is_ours = self.value(is_ours).await?.unwrap_or(false);
        if !is_ours {
            return Ok(match tables {
                0 => DatabaseContent::Nothing,
                _ => DatabaseContent::Foreign,
            });
        }
        let meta = "SELECT service, cluster, version, origin, moved FROM cluster_meta";
        let row = self.client.query_one(meta, &[]).await;
        let row = row.map_err(|error| self.failed(error))?;
        let failed = |error| self.failed(error);
        Ok(DatabaseContent::Ours {
            service: row.try_get(0).map_err(failed)?,
            cluster: row.try_get(1).map_err(failed)?,
            version: row.try_get(2).map_err(failed)?,
            origin: row.try_get(3).map_err(failed)?,
            moved: row.try_get(4).map_err(failed)?,
        })
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
        let made = schema::make(&self.client, schema, cluster, origin).await;
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
            let rows = self.client.query(&fetch, &[]).await;
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
        let statement = self.client.prepare(&read).await.map_err(failed)?;
        let types: Vec<_> = statement
            .columns()
            .iter()
            .map(|column| column.type_().clone())
            .collect();
        let copy = format!("COPY {table} ({columns}) FROM STDIN BINARY");
        let sink = self.client.copy_in(&copy).await.map_err(failed)?;
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
