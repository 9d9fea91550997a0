//! The server, and new databases on it for each turn.

use std::cell::Cell;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// The tables of the program that DBOS runs.
const DBOS_TABLES: &str = include_str!("dbos/tables.sql");
/// Whoever has a database in the shop.
const SERVICES: [&str; 4] = ["orders", "inventory", "payments", "sandbox"];
/// The first version with `pg_walinspect`.
const OLDEST: u64 = 150_000;

/// The server that `tests/postgres/run` has started, on this machine.
pub(crate) struct PostgresServer {
    runtime: Runtime,
    client: Client,
    /// Up to the port, and a slash.
    url: String,
    port: u16,
    postmaster: u32,
    turns: Cell<usize>,
}

/// Databases of one turn; dropped with this.
pub(crate) struct Databases<'a> {
    server: &'a PostgresServer,
    names: Vec<String>,
    url: String,
}

impl PostgresServer {
    /// The one that the environment names.
    pub(crate) fn find() -> Result<PostgresServer, String> {
        let url = std::env::var(super::SERVER).map_err(|error| error.to_string())?;
        let url = url
            .strip_suffix("{service}")
            .ok_or_else(|| format!("{} is {url:?}, expected an end of {{service}}", super::SERVER))?;
        let port = url.trim_end_matches('/').rsplit(':').next();
        let port = port
            .and_then(|port| port.parse().ok())
            .ok_or("there is no port in it")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let client = runtime.block_on(connect(&format!("{url}postgres")))?;
        let mut server = PostgresServer {
            runtime,
            client,
            url: url.to_owned(),
            port,
            postmaster: 0,
            turns: Cell::new(0),
        };
        server.check()?;
        let own = server.number("SELECT pg_backend_pid()::bigint")?;
        server.postmaster = parent(own)?;
        server.run("CREATE EXTENSION IF NOT EXISTS pg_walinspect")?;
        Ok(server)
    }

    /// A server that may forget what it has committed is none to measure.
    fn check(&self) -> Result<(), String> {
        let version = self.number("SELECT current_setting('server_version_num')::bigint")?;
        if version < OLDEST {
            return Err(format!("it is PostgreSQL {version}, expected {OLDEST} or newer"));
        }
        let unsafe_settings = "SELECT count(*) FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting <> 'on'";
        match self.number(unsafe_settings)? {
            0 => Ok(()),
            _ => Err("fsync, full_page_writes or synchronous_commit is not on there".to_owned()),
        }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The parent of its processes.
    pub(crate) fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// One number.
    pub(crate) fn number(&self, sql: &str) -> Result<u64, String> {
        number(&self.runtime, &self.client, sql)
    }

    /// Transactions that have written, between two places of the WAL.
    pub(crate) fn commits(&self, from: u64, to: u64) -> Result<u64, String> {
        self.number(&format!(
            "SELECT coalesce(sum(count), 0)::bigint
            FROM pg_get_wal_stats('0/0'::pg_lsn + {from}, '0/0'::pg_lsn + {to}, true)
            WHERE \"resource_manager/record_type\" = 'Transaction/COMMIT'"
        ))
    }

    /// What earlier turns have left is written, so that no later one pays for it.
    pub(crate) fn rest(&self) -> Result<(), String> {
        self.run("CHECKPOINT")
    }

    /// Four empty databases.
    pub(crate) fn of_the_shop(&self) -> Result<Databases<'_>, String> {
        let turn = self.turn();
        let names = SERVICES
            .iter()
            .map(|service| format!("{turn}_{service}"))
            .collect();
        self.make(names, format!("{}{turn}_{{service}}", self.url))
    }

    /// One with tables and stock, and an empty one for DBOS itself.
    pub(crate) fn of_dbos(&self) -> Result<Databases<'_>, String> {
        let turn = self.turn();
        let names = ["shop", "system"]
            .iter()
            .map(|name| format!("{turn}_{name}"))
            .collect();
        let databases = self.make(names, format!("{}{turn}_{{service}}", self.url))?;
        let shop = databases.url_of("shop");
        self.runtime.block_on(async {
            let client = connect(&shop).await?;
            client.batch_execute(DBOS_TABLES).await.map_err(told)
        })?;
        Ok(databases)
    }

    fn turn(&self) -> String {
        self.turns.set(self.turns.get() + 1);
        format!("turn_{}", self.turns.get())
    }

    fn make(&self, names: Vec<String>, url: String) -> Result<Databases<'_>, String> {
        let databases = Databases {
            server: self,
            names,
            url,
        };
        for name in &databases.names {
            self.run(&format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"
            ))?;
        }
        Ok(databases)
    }

    fn run(&self, sql: &str) -> Result<(), String> {
        self.runtime
            .block_on(self.client.batch_execute(sql))
            .map_err(told)
    }
}

impl Databases<'_> {
    /// With `{service}` for each of them.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// That of one of them.
    pub(crate) fn url_of(&self, service: &str) -> String {
        self.url.replace("{service}", service)
    }

    /// How many orders are confirmed, once the books agree: each is paid once and nothing was sold twice.
    pub(crate) fn check_the_shop(&self) -> Result<f64, String> {
        let confirmed = self.number("orders", "SELECT count(*) FROM orders WHERE status = 20")?;
        let paid = self.number("payments", "SELECT count(*) FROM payments WHERE state = 10")?;
        let charged = self.number("sandbox", "SELECT count(DISTINCT order_id) FROM standing_charge")?;
        let charges = self.number("sandbox", "SELECT count(*) FROM standing_charge")?;
        let left = self.number("inventory", "SELECT sum(received - on_hand)::bigint FROM stock")?;
        let sold = "SELECT coalesce(sum((item->>1)::bigint), 0)::bigint
            FROM reservations, jsonb_array_elements(items::jsonb) AS item WHERE state = 20";
        agree(
            "pieces that left and pieces that were sold",
            left,
            self.number("inventory", sold)?,
        )?;
        agree("charges and orders that were charged", charges, charged)?;
        at_least("payments and confirmed orders", paid, confirmed)?;
        at_least("charges and payments", charges, paid)?;
        Ok(confirmed as f64)
    }

    /// The same of DBOS's.
    pub(crate) fn check_dbos(&self) -> Result<f64, String> {
        let count = |sql| self.number("shop", sql);
        let confirmed = count("SELECT count(*) FROM orders WHERE status = 'confirmed'")?;
        let paid = count(
            "SELECT count(*) FROM orders JOIN charges ON order_id = id AND outcome = 'succeeded'
            AND charges.amount = orders.amount WHERE status = 'confirmed'",
        )?;
        let left = count("SELECT sum(1000000 - on_hand)::bigint FROM stock")?;
        let sold = count(
            "SELECT coalesce(sum(piece), 0)::bigint FROM orders, unnest(pieces) AS piece
            WHERE status = 'confirmed'",
        )?;
        agree("pieces that left and pieces that were sold", left, sold)?;
        agree("confirmed orders and those that were paid", confirmed, paid)?;
        Ok(confirmed as f64)
    }

    fn number(&self, service: &str, sql: &str) -> Result<u64, String> {
        let runtime = &self.server.runtime;
        let client = runtime.block_on(connect(&self.url_of(service)))?;
        number(runtime, &client, sql)
    }
}

impl Drop for Databases<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let dropped = self
                .server
                .run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            if let Err(error) = dropped {
                eprintln!("postgres: the database {name} stays: {error}");
            }
        }
    }
}

fn agree(what: &str, one: u64, other: u64) -> Result<(), String> {
    match one == other {
        true => Ok(()),
        false => Err(format!("{what}: {one} and {other}, expected the same")),
    }
}

/// Orders that were under way at the end are counted on one side only.
fn at_least(what: &str, more: u64, fewer: u64) -> Result<(), String> {
    match more >= fewer {
        true => Ok(()),
        false => Err(format!(
            "{what}: {more} and {fewer}, expected no fewer of the first"
        )),
    }
}

async fn connect(url: &str) -> Result<Client, String> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.map_err(|error| format!("{url}: {}", told(error)))?;
    tokio::spawn(connection);
    Ok(client)
}

fn number(runtime: &Runtime, client: &Client, sql: &str) -> Result<u64, String> {
    let row = runtime.block_on(client.query_one(sql, &[])).map_err(told)?;
    let number: i64 = row.try_get(0).map_err(told)?;
    Ok(number.unsigned_abs())
}

fn told(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("the server says: {said}"),
        None => error.to_string(),
    }
}

fn parent(pid: u64) -> Result<u32, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| format!("the server is not on this machine: {error}"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let parent = parent.and_then(|parent| parent.trim().parse().ok());
    parent.ok_or_else(|| format!("process {pid} has no parent"))
}
