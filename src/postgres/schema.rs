//! Which tables and functions a database has: brought up to the version that this program knows, by one of
//! those that start at the same time, and refused when it is another program's, cluster's or service's.
//!
//! Migrations expand first: what a program of the version before uses stays until the version after. So
//! programs of two neighbouring versions serve one database at once. Functions have the version in their
//! names, and are never changed.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::failure::PostgresFailure;

/// The tables and functions of one service.
#[derive(Clone, Copy, Debug)]
pub struct PostgresSchema {
    /// The service, for messages (`orders`).
    pub name: &'static str,
    /// Each takes the database from version n to n + 1. Migrations are only ever appended.
    pub migrations: &'static [&'static str],
    /// A program that knows no newer version than one before this cannot use the database.
    pub oldest_compatible: i32,
}

impl PostgresSchema {
    /// The version of a database on which all migrations ran.
    #[must_use]
    pub fn version(&self) -> i32 {
        i32::try_from(self.migrations.len()).unwrap_or(i32::MAX)
    }

    /// What the migrations make: the kind (`TABLE`) and the name of each.
    pub fn objects(&self) -> impl Iterator<Item = (&'static str, String)> {
        std::iter::once(COMMON)
            .chain(self.migrations.iter().copied())
            .flat_map(made_by)
    }
}

/// What a migration makes. Each statement begins a line.
fn made_by(sql: &'static str) -> impl Iterator<Item = (&'static str, String)> {
    let made = |line: &str| {
        let begins = |kind| {
            line.strip_prefix("CREATE ")?
                .strip_prefix(kind)?
                .strip_prefix(' ')
        };
        let kinds = ["TABLE", "VIEW", "FUNCTION", "INDEX"];
        let (kind, rest) = kinds.into_iter().find_map(|kind| Some((kind, begins(kind)?)))?;
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        Some((kind, rest[..end.unwrap_or(rest.len())].to_owned()))
    };
    sql.lines().filter_map(made)
}

/// Names the cluster that databases belong to, so that those of two are not mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(pub String);

/// The lock of those who migrate: `cluster` in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(27991890118894962)";

/// What every database has, whatever its service.
const COMMON: &str = include_str!("common.sql");

const META: &str = "CREATE TABLE IF NOT EXISTS cluster_meta (
    one               boolean PRIMARY KEY CHECK (one),
    service           text NOT NULL,
    cluster           text NOT NULL,
    version           integer NOT NULL,
    oldest_compatible integer NOT NULL,
    origin            text, -- the move that filled the database; null when it was made empty
    moved             text  -- where its content has gone; null while it is in use
)";

struct Meta {
    service: String,
    cluster: String,
    version: i32,
    oldest_compatible: i32,
    moved: Option<String>,
}

/// Brings the database up to date. Nothing is changed when it is refused.
pub(super) async fn prepare(
    client: &mut Client,
    schema: &PostgresSchema,
    cluster: &ClusterId,
) -> Result<(), PostgresFailure> {
    // Most of the time there is nothing to do, and no lock to wait for.
    if let Some(meta) = read(client).await?
        && is_up_to_date(&meta, schema, cluster)?
    {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute(META).await?;
    let found = read_meta(&transaction).await?;
    let from = match &found {
        Some(meta) if is_up_to_date(meta, schema, cluster)? => return Ok(()),
        Some(meta) => meta.version,
        None => 0,
    };
    migrate(transaction.client(), schema, cluster, from, None).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes the tables and functions in a database that has none, inside of the caller's transaction. `origin`
/// names the move that fills it.
pub(super) async fn make(
    client: &Client,
    schema: &PostgresSchema,
    cluster: &ClusterId,
    origin: &str,
) -> Result<(), PostgresFailure> {
    client.batch_execute(LOCK).await?;
    client.batch_execute(META).await?;
    migrate(client, schema, cluster, 0, Some(origin)).await
}

async fn migrate(
    client: &Client,
    schema: &PostgresSchema,
    cluster: &ClusterId,
    from: i32,
    origin: Option<&str>,
) -> Result<(), PostgresFailure> {
    if from == 0 {
        client.batch_execute(COMMON).await?;
    }
    for migration in &schema.migrations[usize::try_from(from).unwrap_or(0)..] {
        client.batch_execute(migration).await?;
    }
    let write = "INSERT INTO cluster_meta (one, service, cluster, version, oldest_compatible, origin)
        VALUES (true, $1, $2, $3, $4, $5)
        ON CONFLICT (one) DO UPDATE SET version = excluded.version,
            oldest_compatible = excluded.oldest_compatible";
    let version = schema.version();
    let row: [(&(dyn ToSql + Sync), Type); 5] = [
        (&schema.name, Type::TEXT),
        (&cluster.0, Type::TEXT),
        (&version, Type::INT4),
        (&schema.oldest_compatible, Type::INT4),
        (&origin, Type::TEXT),
    ];
    client.query_typed(write, &row).await?;
    Ok(())
}

async fn read(client: &Client) -> Result<Option<Meta>, PostgresFailure> {
    let there = "SELECT to_regclass('cluster_meta') IS NOT NULL";
    // Nothing is prepared here: by way of PgBouncer, the next statement may be another connection's.
    let rows = client.query_typed(there, &[]).await?;
    let there = rows.first().map_or(Ok(false), |row| row.try_get(0))?;
    if !there {
        return Ok(None);
    }
    read_meta(client).await
}

async fn read_meta(client: &impl tokio_postgres::GenericClient) -> Result<Option<Meta>, PostgresFailure> {
    let meta = "SELECT service, cluster, version, oldest_compatible, moved FROM cluster_meta";
    let rows = client.query_typed(meta, &[]).await?;
    let meta = rows.first().map(|row| {
        Ok::<_, tokio_postgres::Error>(Meta {
            service: row.try_get(0)?,
            cluster: row.try_get(1)?,
            version: row.try_get(2)?,
            oldest_compatible: row.try_get(3)?,
            moved: row.try_get(4)?,
        })
    });
    Ok(meta.transpose()?)
}

/// Whether nothing is to be done; an error when the database must not be used.
fn is_up_to_date(meta: &Meta, schema: &PostgresSchema, cluster: &ClusterId) -> Result<bool, PostgresFailure> {
    if meta.service != schema.name {
        return Err(PostgresFailure::Unusable(format!(
            "it is the database of {}, expected one of {}: each service has a database of its own",
            meta.service, schema.name
        )));
    }
    if meta.cluster != cluster.0 {
        return Err(PostgresFailure::Unusable(format!(
            "it belongs to another cluster ({}), and this one is {}: name another database, or serve the \
             data \
             directory that it belongs to",
            meta.cluster, cluster.0
        )));
    }
    if let Some(moved) = &meta.moved {
        return Err(PostgresFailure::Unusable(format!(
            "it is no longer in use: {moved}"
        )));
    }
    if meta.oldest_compatible > schema.version() {
        return Err(PostgresFailure::Unusable(format!(
            "it has version {} of {}, and this program knows versions up to {}: start the newer program",
            meta.version,
            schema.name,
            schema.version()
        )));
    }
    Ok(meta.version >= schema.version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_migration_makes_is_named() {
        let sql =
            "-- CREATE TABLE no\nCREATE TABLE a (\n b int);\nCREATE FUNCTION f_1(x int)\nCREATE VIEW v AS\n";
        let made: Vec<_> = made_by(sql).collect();
        let expected = [("TABLE", "a"), ("FUNCTION", "f_1"), ("VIEW", "v")];
        assert_eq!(made, expected.map(|(kind, name)| (kind, name.to_owned())));
    }
}
