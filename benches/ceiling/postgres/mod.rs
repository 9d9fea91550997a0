//! The same at a PostgreSQL server: the tables and functions of the shop, a writer for each service, readers
//! where an order reads, and nothing of the shop's own code.

mod order;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls, Statement};

use crate::run::Engine;
use crate::stores::SKUS;
use writer::Writer;

macro_rules! schema {
    ($($file:literal),*) => {
        concat!(include_str!("../../../src/postgres/common.sql"), $(include_str!($file)),*)
    };
}

const SCHEMAS: [(&str, &str); 4] = [
    (
        "orders",
        schema!(
            "../../../src/shop/postgres/outbox.sql",
            "../../../src/shop/orders/postgres/schema.sql"
        ),
    ),
    (
        "inventory",
        schema!(
            "../../../src/shop/postgres/outbox.sql",
            "../../../src/shop/inventory/postgres/schema.sql"
        ),
    ),
    (
        "payments",
        schema!(
            "../../../src/shop/postgres/outbox.sql",
            "../../../src/shop/payments/postgres/schema.sql"
        ),
    ),
    (
        "sandbox",
        schema!("../../../src/shop/sandbox/postgres/schema.sql"),
    ),
];

/// The four databases, open in one process.
#[derive(Clone)]
pub(crate) struct Services {
    orders: Writer,
    inventory: Writer,
    payments: Writer,
    sandbox: Writer,
    prices: Reader,
    fences: Reader,
    commits: Arc<AtomicU64>,
    /// The life of this process, which no other has.
    slot: i32,
}

/// A statement that reads, on a connection of its own. Those that come while others are under way follow them
/// without waiting.
#[derive(Clone)]
struct Reader {
    client: Arc<Client>,
    statement: Statement,
}

impl Engine for Services {
    const NAME: &'static str = "postgres";

    async fn prepare(url: &str) -> Result<(), String> {
        for (service, schema) in SCHEMAS {
            let client = connect(url, service).await?;
            client.batch_execute(schema).await.map_err(told)?;
            if service != "sandbox" {
                let line = "INSERT INTO event_stream (one, id, born) VALUES (true, 1, 'here')";
                client.batch_execute(line).await.map_err(told)?;
            }
            if service == "inventory" {
                let stock = "INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received)
                    SELECT 'sku-' || lpad(number::text, 4, '0'), 'A cup', 450, 'USD', 1000000, 0, 1000000
                    FROM generate_series(0, $1::bigint - 1) AS number";
                client.execute(stock, &[&i64::from(SKUS)]).await.map_err(told)?;
            }
        }
        Ok(())
    }

    async fn open(url: &str) -> Result<Services, String> {
        let slot = std::process::id().cast_signed();
        let commits = Arc::<AtomicU64>::default();
        let writer = async |service| {
            let client = connect(url, service).await?;
            Writer::start(client, &order::calls_of(service), slot, Arc::clone(&commits)).await
        };
        Ok(Services {
            orders: writer("orders").await?,
            inventory: writer("inventory").await?,
            payments: writer("payments").await?,
            sandbox: writer("sandbox").await?,
            prices: Reader::open(url, "inventory", order::PRICES).await?,
            fences: Reader::open(url, "payments", order::IS_FENCED).await?,
            commits,
            slot,
        })
    }

    async fn place_order(&self) -> Result<(), String> {
        self.place().await
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

impl Reader {
    async fn open(url: &str, service: &str, sql: &str) -> Result<Reader, String> {
        let client = connect(url, service).await?;
        let statement = client.prepare(sql).await.map_err(told)?;
        Ok(Reader {
            client: Arc::new(client),
            statement,
        })
    }
}

/// With the settings that the shop's sessions have and that a transaction costs something by.
async fn connect(url: &str, service: &str) -> Result<Client, String> {
    let url = url.replace("{service}", service);
    let connected = tokio_postgres::connect(&url, NoTls).await;
    let (client, connection) = connected.map_err(|error| format!("{url}: {}", told(error)))?;
    tokio::spawn(connection);
    let settings = "SET synchronous_commit = on; SET jit = off; SET client_min_messages = warning";
    client.batch_execute(settings).await.map_err(told)?;
    Ok(client)
}

/// What the server says stands in an error's source.
fn told(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("the server says: {said}"),
        None => error.to_string(),
    }
}
