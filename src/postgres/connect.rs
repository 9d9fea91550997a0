//! One connection: made, looked at before it is used, and led until it ends.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::bind::Parameter;
use super::driven_client::DrivenClient;
use super::failure::PostgresFailure;
use super::target::PostgresTarget;

/// The oldest server, as `server_version_num` counts.
const OLDEST: i32 = 130_000;
/// A server that accepts and does not answer is given up after this.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// What lasts for a session of our own: a statement or a lock that takes longer than this is given up by
/// the server, and so is a session whose client has vanished. A host that died or was cut off sends no end,
/// so the server asks for a sign of life each second, and looks whether the client is still there while a
/// statement runs or waits (PostgreSQL 14 and newer).
fn settings(target: &PostgresTarget) -> String {
    let vanished_ms = target.vanished_after.as_millis();
    format!(
        "SET statement_timeout = '8s'; SET lock_timeout = '4s'; SET synchronous_commit = on;
        SET client_min_messages = warning; SET jit = off;
        SET idle_in_transaction_session_timeout = {vanished_ms};
        SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 2;
        SET tcp_user_timeout = {vanished_ms};
        SELECT set_config(name, '1000', false) FROM pg_settings
        WHERE name = 'client_connection_check_interval'"
    )
}

/// For whoever moves whole tables: no statement and no lock has a limit.
const NO_LIMITS: &str = "SET statement_timeout = 0; SET lock_timeout = 0;
    SET idle_in_transaction_session_timeout = 0";

const LOOK: &str = "SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(),
    current_setting('transaction_read_only') = 'on', current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('synchronous_commit'),
    (SELECT setting::int8 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'),
    (SELECT setting::int8 FROM pg_settings WHERE name = 'tcp_user_timeout')";

/// A connection that can be used. Dropping it closes it.
pub(super) struct Link {
    client: DrivenClient,
    prepares: bool,
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

impl Link {
    /// Connects, and finds out whether the server is one to write to.
    pub(super) async fn open(target: &PostgresTarget) -> Result<Link, PostgresFailure> {
        let opened = tokio::time::timeout(HANDSHAKE, Link::connect(target)).await;
        opened
            .unwrap_or_else(|_| Err(silent()))
            .map_err(|failure| named(failure, target))
    }

    async fn connect(target: &PostgresTarget) -> Result<Link, PostgresFailure> {
        let link = Link {
            client: DrivenClient::connect(target).await?,
            prepares: !target.pgbouncer,
            prepared: Mutex::default(),
        };
        if !target.pgbouncer {
            link.client.batch_execute(&settings(target)).await?;
        }
        check(&link.one(LOOK, &[]).await?, target)?;
        Ok(link)
    }

    /// Connects as [`Link::open`] does, for work that takes as long as it takes.
    pub(super) async fn open_without_limits(target: &PostgresTarget) -> Result<Link, PostgresFailure> {
        let link = Link::open(target).await?;
        if !target.pgbouncer {
            let lifted = link.client.batch_execute(NO_LIMITS).await;
            lifted.map_err(|error| named(error.into(), target))?;
        }
        Ok(link)
    }

    /// The client itself, for what is no single statement.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Prepares the statements that were not prepared yet, where that is possible.
    pub(super) async fn prepare(
        &self,
        statements: impl Iterator<Item = (&'static str, &[Parameter])>,
    ) -> Result<(), PostgresFailure> {
        if !self.prepares {
            return Ok(());
        }
        for (sql, parameters) in statements {
            if self.prepared(sql).is_none() {
                let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
                let statement = self.client.prepare_typed(sql, &types).await?;
                let mut prepared = self
                    .prepared
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                prepared.insert(sql, statement);
            }
        }
        Ok(())
    }

    fn prepared(&self, sql: &str) -> Option<Statement> {
        let prepared = self
            .prepared
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        prepared.get(sql).cloned()
    }

    /// Runs a statement. Its message goes out when the future is polled for the first time, so several that
    /// are polled one after the other follow each other without waiting.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        parameters: &[Parameter],
    ) -> Result<Vec<Row>, PostgresFailure> {
        let rows = match self.prepared(sql) {
            Some(statement) => {
                let values: Vec<&(dyn ToSql + Sync)> = parameters
                    .iter()
                    .map(|(value, _)| value.as_ref() as &(dyn ToSql + Sync))
                    .collect();
                self.client.query(&statement, &values).await?
            }
            None => self.client.query_typed(sql, &typed(parameters)).await?,
        };
        Ok(rows)
    }

    async fn one(&self, sql: &'static str, parameters: &[Parameter]) -> Result<Row, PostgresFailure> {
        let rows = self.query(sql, parameters).await?;
        let none = || PostgresFailure::Failed(format!("a statement answered no row: {sql}"));
        rows.into_iter().next().ok_or_else(none)
    }
}

/// Parameters with their types, for a statement that was not prepared.
pub(super) fn typed(parameters: &[Parameter]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    parameters
        .iter()
        .map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone()))
        .collect()
}

fn silent() -> PostgresFailure {
    let waited = HANDSHAKE.as_secs();
    PostgresFailure::Unreachable(format!(
        "the server has accepted the connection and not answered for {waited} s"
    ))
}

/// Which database a failure is about, if that is not said yet.
pub(super) fn named(failure: PostgresFailure, target: &PostgresTarget) -> PostgresFailure {
    let name = |reason: String| match reason.starts_with(target.shown()) {
        true => reason,
        false => format!("{}: {reason}", target.shown()),
    };
    match failure {
        PostgresFailure::Unreachable(reason) => PostgresFailure::Unreachable(name(reason)),
        PostgresFailure::Refusing(reason) => PostgresFailure::Refusing(name(reason)),
        PostgresFailure::NotPermitted(reason) => PostgresFailure::NotPermitted(name(reason)),
        PostgresFailure::Unusable(reason) => PostgresFailure::Unusable(name(reason)),
        PostgresFailure::Failed(reason) => PostgresFailure::Failed(name(reason)),
        PostgresFailure::Full(reason) => PostgresFailure::Full(name(reason)),
        other @ (PostgresFailure::Busy
        | PostgresFailure::Conflict(_)
        | PostgresFailure::Fenced
        | PostgresFailure::Unknown(_)) => other,
    }
}

fn check(row: &Row, target: &PostgresTarget) -> Result<(), PostgresFailure> {
    let version: i32 = row.try_get(0)?;
    if version < OLDEST {
        return Err(PostgresFailure::Unusable(format!(
            "it is PostgreSQL {}, expected {} or newer",
            version / 10_000,
            OLDEST / 10_000
        )));
    }
    let (in_recovery, read_only): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
    if in_recovery || read_only {
        let what = if in_recovery { "a standby" } else { "read-only" };
        return Err(PostgresFailure::Refusing(format!(
            "it is {what}, expected a primary that can be written"
        )));
    }
    check_vanished((row.try_get(6)?, row.try_get(7)?), target)?;
    if target.allow_unsafe_commits {
        return Ok(());
    }
    let setting = |column| row.try_get::<_, String>(column).map_err(PostgresFailure::from);
    for (name, value) in [
        ("fsync", setting(3)?),
        ("full_page_writes", setting(4)?),
        ("synchronous_commit", setting(5)?),
    ] {
        if value == "off" {
            return Err(PostgresFailure::Unusable(format!(
                "{name} is off there, so that it may forget what it has committed: set it to on, or allow \
                 that by postgres.allow_unsafe_commits"
            )));
        }
    }
    Ok(())
}

/// What a host held that died must be free within its lease, or others wait for it. PgBouncer lets nobody set
/// what lasts for a session, and looks after the clients itself.
fn check_vanished(
    (idle_in_transaction, tcp_user_timeout): (i64, i64),
    target: &PostgresTarget,
) -> Result<(), PostgresFailure> {
    if !target.is_shared {
        return Ok(());
    }
    let most = i64::try_from(target.vanished_after.as_millis()).unwrap_or(i64::MAX);
    let is_bounded = |ms: i64| (1..=most).contains(&ms);
    let needs_tcp = target.is_remote() && !target.pgbouncer;
    let missing = match (is_bounded(idle_in_transaction), is_bounded(tcp_user_timeout)) {
        (false, _) => "idle_in_transaction_session_timeout",
        (true, false) if needs_tcp => "tcp_user_timeout",
        (true, _) => return Ok(()),
    };
    Err(PostgresFailure::Unusable(format!(
        "{missing} is not within 1 to {most} ms there, so what a host held that died would stay locked: \
         ALTER ROLE … SET {missing} = {most}"
    )))
}
