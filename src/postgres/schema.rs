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

    /// What a database has after the migrations: the kind (`TABLE`) and the name of each object.
    #[must_use]
    pub fn objects(&self) -> Vec<(&'static str, String)> {
        let mut objects = Vec::new();
        for sql in std::iter::once(COMMON).chain(self.migrations.iter().copied()) {
            for line in sql.lines() {
                if let Some(made) = named_behind("CREATE", line) {
                    objects.push(made);
                } else if let Some(removed) = named_behind("DROP", line) {
                    objects.retain(|object| *object != removed);
                }
            }
        }
        objects
    }
}

/// What a statement makes or removes. Each statement begins a line.
fn named_behind(verb: &str, line: &str) -> Option<(&'static str, String)> {
    let behind = line.strip_prefix(verb)?.strip_prefix(' ')?;
    let kinds = ["TABLE", "VIEW", "FUNCTION", "INDEX"];
    let named = |kind| Some((kind, behind.strip_prefix(kind)?.strip_prefix(' ')?));
    let (kind, rest) = kinds.into_iter().find_map(named)?;
    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    Some((kind, rest[..end.unwrap_or(rest.len())].to_owned()))
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

/// What a database says of the tables in it: its row of `cluster_meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLabel {
    /// The service that the tables are of.
    pub service: String,
    /// The cluster that they belong to.
    pub cluster: String,
    /// Their version.
    pub version: i32,
    /// The oldest version of a program that can use them.
    pub oldest_compatible: i32,
    /// The move that filled them; `None` when they were made empty.
    pub origin: Option<String>,
    /// Where their content has gone; `None` while they are in use.
    pub moved: Option<String>,
}

/// Brings the database up to date. Nothing is changed when it is refused.
pub(super) async fn prepare(
    client: &mut Client,
    schema: &PostgresSchema,
    cluster: &ClusterId,
) -> Result<(), PostgresFailure> {
    // Most of the time there is nothing to do, and no lock to wait for.
    if let Some(label) = read(client).await?
        && is_up_to_date(&label, schema, cluster)?
    {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute(META).await?;
    let found = read_label(transaction.client()).await?;
    let from = match &found {
        Some(label) if is_up_to_date(label, schema, cluster)? => return Ok(()),
        Some(label) => label.version,
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

/// The label of the database; `None` when it has none of this program's tables.
pub(super) async fn read(client: &Client) -> Result<Option<DatabaseLabel>, PostgresFailure> {
    let there = "SELECT to_regclass('cluster_meta') IS NOT NULL";
    // Nothing is prepared here: by way of PgBouncer, the next statement may be another connection's.
    let rows = client.query_typed(there, &[]).await?;
    let there = rows.first().map_or(Ok(false), |row| row.try_get(0))?;
    if !there {
        return Ok(None);
    }
    read_label(client).await
}

async fn read_label(client: &Client) -> Result<Option<DatabaseLabel>, PostgresFailure> {
    let read = "SELECT service, cluster, version, oldest_compatible, origin, moved FROM cluster_meta";
    let rows = client.query_typed(read, &[]).await?;
    let label = rows.first().map(|row| {
        Ok::<_, tokio_postgres::Error>(DatabaseLabel {
            service: row.try_get(0)?,
            cluster: row.try_get(1)?,
            version: row.try_get(2)?,
            oldest_compatible: row.try_get(3)?,
            origin: row.try_get(4)?,
            moved: row.try_get(5)?,
        })
    });
    Ok(label.transpose()?)
}

/// Whether nothing is to be done; an error when the database must not be used.
fn is_up_to_date(
    label: &DatabaseLabel,
    schema: &PostgresSchema,
    cluster: &ClusterId,
) -> Result<bool, PostgresFailure> {
    if label.service != schema.name {
        return Err(PostgresFailure::Unusable(format!(
            "it is the database of {}, expected one of {}: each service has a database of its own",
            label.service, schema.name
        )));
    }
    if label.cluster != cluster.0 {
        return Err(PostgresFailure::Unusable(format!(
            "it belongs to another cluster ({0}), and this one is {1}: name another database, or serve the \
             data directory that it belongs to; several hosts share it with postgres.cluster = \"{0}\" on each",
            label.cluster, cluster.0
        )));
    }
    if let Some(moved) = &label.moved {
        return Err(PostgresFailure::Unusable(format!(
            "it is no longer in use: {moved}"
        )));
    }
    if label.oldest_compatible > schema.version() {
        return Err(PostgresFailure::Unusable(format!(
            "it has version {} of {}, and this program knows versions up to {}: start the newer program",
            label.version,
            schema.name,
            schema.version()
        )));
    }
    Ok(label.version >= schema.version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_migration_makes_is_named() {
        let schema = PostgresSchema {
            name: "tests",
            migrations: &[
                "-- CREATE TABLE no\nCREATE TABLE a (\n b int);\nCREATE FUNCTION f_1(x int)\nCREATE TABLE v (c int);",
                "DROP TABLE v;\nCREATE VIEW v AS\nCREATE OR REPLACE FUNCTION f_1(x int)\n",
            ],
            oldest_compatible: 1,
        };
        let made = schema.objects();
        let own = made.len() - 3;
        let expected = [("TABLE", "a"), ("FUNCTION", "f_1"), ("VIEW", "v")];
        assert_eq!(made[own..], expected.map(|(kind, name)| (kind, name.to_owned())));
    }
}
