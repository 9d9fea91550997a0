//! The same tests on PostgreSQL: where `CLUSTER_TEST_POSTGRES` names a server (`tests/postgres/run` starts
//! one), every shop of a test has its databases there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

use super::test_shop::{TestShop, default_settings, order_of};
use crate::base::ids::{HostId, Life};
use crate::config::Settings;
use crate::postgres::{BulkConnection, PostgresOptions, PostgresStore, WriterIdentity};
use crate::shop::engine::{PostgresPlace, StoreEngine, StoreFile, cluster_id};
use crate::shop::orders::postgres::PostgresOrders;
use crate::shop::orders::{self, OrdersRepository};
use crate::shop::settings::PostgresSettings;

/// The server, if there is one: `postgres://user@host:port/{service}`.
fn server() -> Option<String> {
    std::env::var("CLUSTER_TEST_POSTGRES").ok()
}

/// Whether the databases are PostgreSQL's.
pub(super) fn is_used() -> bool {
    server().is_some()
}

/// Says that a test was skipped, and whether it is.
pub(super) fn is_skipped(test: &str) -> bool {
    if !is_used() {
        eprintln!("SKIPPED: CLUSTER_TEST_POSTGRES names no server (tests/postgres/run starts one): {test}");
    }
    !is_used()
}

/// Has the shop of that data directory use databases of its own, which are made if they are not there.
pub(super) async fn use_server(settings: &mut Settings) {
    if let Some(server) = server() {
        use_databases_at(&server, &server, settings).await;
    }
}

/// Has the data directory be one that used its databases before hosts had ids.
pub(super) fn go_on_without_name(settings: &Settings) {
    let dir = &settings.cluster.data_dir;
    if is_used() && !dir.join("store.json").exists() {
        let named: PostgresSettings = settings.section("postgres").unwrap();
        let place = named.place(cluster_id(dir).unwrap(), HostId::UNNAMED).unwrap();
        StoreFile::Postgres(place).write(dir).unwrap();
    }
}

/// The databases are made at the server, and used by way of that address.
async fn use_databases_at(server: &str, by_way_of: &str, settings: &mut Settings) {
    let name = database_name(&settings.cluster.data_dir);
    for service in crate::shop::engine::SERVICES {
        make(server, &name.replace("{service}", service)).await;
    }
    let table =
        |key: &str, value: String| toml::Table::from_iter([(key.to_owned(), toml::Value::String(value))]);
    let url = by_way_of.replace("{service}", &name);
    settings
        .app
        .insert("postgres".to_owned(), toml::Value::Table(table("url", url)));
    settings.app.insert(
        "store".to_owned(),
        toml::Value::Table(table("engine", "postgres".to_owned())),
    );
}

/// The URL of a database of its own for a test, without a table.
pub(super) async fn empty_database(name: &str) -> Option<String> {
    let server = server()?;
    let name = format!("t{:016x}_{name}", fastrand::u64(..));
    make(&server, &name).await;
    Some(server.replace("{service}", &name))
}

/// The names of the databases of a data directory.
fn database_name(data_dir: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    format!("t{:016x}_{{service}}", hasher.finish())
}

/// Makes the databases of that data directory anew, without what they held.
pub(super) async fn remake_databases(data_dir: &Path) {
    let server = server().expect("a server");
    for service in crate::shop::engine::SERVICES {
        let name = database_name(data_dir).replace("{service}", service);
        run_at(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        make(&server, &name).await;
    }
}

async fn run_at(server: &str, sql: &str) {
    let url = server.replace("{service}", "postgres");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server");
    let driver = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("done");
    driver.abort();
}

/// Where the databases of the shop are.
pub(super) fn place_of(shop: &TestShop) -> PostgresPlace {
    match StoreEngine::of(shop.dir.path()).unwrap() {
        StoreEngine::Postgres(place) => place,
        StoreEngine::Sqlite => panic!("the shop is not at PostgreSQL"),
    }
}

/// The orders of the shop as another life has them.
pub(super) async fn orders_repository_of(shop: &TestShop, life: Life) -> OrdersRepository {
    OrdersRepository::Postgres(orders_at_postgres(shop, life).await)
}

/// The orders at PostgreSQL as another life has them.
pub(super) async fn orders_at_postgres(shop: &TestShop, life: Life) -> PostgresOrders {
    let place = place_of(shop);
    let (schema, options) = (&orders::postgres::POSTGRES_SCHEMA, PostgresOptions::new());
    let (target, identity) = (place.target("orders").unwrap(), WriterIdentity::Life(life));
    let store = PostgresStore::open(target, schema, &place.cluster_id(), identity, options).await;
    PostgresOrders::new(store.unwrap(), Arc::clone(&shop.clock))
}

async fn make(server: &str, name: &str) {
    let url = server.replace("{service}", "postgres");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server");
    let driver = tokio::spawn(connection);
    let there = "SELECT 1 FROM pg_database WHERE datname = $1";
    if client.query_opt(there, &[&name]).await.expect("asked").is_none() {
        let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        client.batch_execute(&make).await.expect("made");
    }
    driver.abort();
}

/// A link to the server that breaks at every so many commits: right before the commit is sent on, or when it
/// was and its answer is to come.
struct Breaking {
    commits: AtomicU32,
    cut: AtomicU32,
    breaks: AtomicBool,
}

/// Commits between two breaks.
const EVERY: u32 = 9;

const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

impl Breaking {
    /// Listens, and leads on to the server; where it listens. In a thread of its own, because who audits the
    /// databases blocks the test's.
    fn start(server: SocketAddr) -> (Arc<Breaking>, SocketAddr) {
        let breaking = Arc::new(Breaking {
            commits: AtomicU32::new(0),
            cut: AtomicU32::new(0),
            breaks: AtomicBool::new(true),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::clone(&breaking);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::spawn(Arc::clone(&shared).lead(client, server));
                }
            });
        });
        (breaking, address)
    }

    async fn lead(self: Arc<Breaking>, client: TcpStream, server: SocketAddr) {
        let server = TcpStream::connect(server).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let answers = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                if to_client.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
            (from_server, to_client)
        });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            let bytes = &buffer[..length];
            let commit = bytes.windows(COMMIT.len()).position(|window| window == COMMIT);
            if let Some(at) = commit
                && self.commits.fetch_add(1, SeqCst) % EVERY == EVERY - 1
                && self.breaks.load(SeqCst)
            {
                let is_sent = self.cut.fetch_add(1, SeqCst).is_multiple_of(2);
                answers.abort();
                let _cancelled = answers.await;
                let sent = if is_sent { bytes } else { &bytes[..at] };
                to_server.write_all(sent).await.unwrap();
                drop(from_client);
                // The server has time to do it, or to find itself alone.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return;
            }
            if to_server.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_end_is_not_heard_is_settled() {
    let Some(server) = server() else {
        eprintln!("SKIPPED: CLUSTER_TEST_POSTGRES names no server (tests/postgres/run starts one)");
        return;
    };
    let authority = server.rsplit_once('@').unwrap().1.split_once('/').unwrap().0;
    let (breaking, address) = Breaking::start(authority.parse().unwrap());
    let (dir, mut settings) = (tempfile::tempdir().unwrap(), default_settings());
    settings.cluster.data_dir = dir.path().to_owned();
    let by_way_of = server.replace(authority, &address.to_string());
    use_databases_at(&server, &by_way_of, &mut settings).await;
    let shop = Arc::new(TestShop::open_as(dir, settings, |_| {}).await);
    let placing = (0..8).map(|client| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for number in 0..40 {
                let body = order_of("espresso-cup", 1, "pm_card_visa");
                let answer = shop.place_with_key(&body, &format!("{client}-{number}")).await;
                if answer.status.is_success() {
                    placed.push(answer.json()["id"].as_str().unwrap().to_owned());
                }
            }
            placed
        })
    });
    let placing: Vec<_> = placing.collect();
    let mut placed = Vec::new();
    for client in placing {
        placed.extend(client.await.unwrap());
    }
    breaking.breaks.store(false, SeqCst);
    let settled = tokio::time::timeout(Duration::from_secs(60), shop.state.orders.settled()).await;
    settled.expect("every saga ends");
    let (cut, known) = (breaking.cut.load(SeqCst), placed.len());
    assert!(cut > 5 && known > 50, "{cut} cut, {known} placed");
    assert!(!shop.worker.has_failed(), "no end stayed unknown");
    for order in &placed {
        let answer = shop.get(&format!("/orders/{order}")).await;
        assert_eq!(answer.json()["status"], "confirmed", "{order}");
    }
    let audit = shop.sound();
    assert_eq!((audit.pending, audit.parked), (0, 0));
    println!(
        "{cut} links cut, {known} orders acknowledged, {} confirmed",
        audit.confirmed
    );
}

/// Replaces a function of a service by one in which something is changed, which must stand in it once.
pub(super) async fn replace_function(
    shop: &TestShop,
    service: &str,
    function: &str,
    (from, to): (&str, &str),
) {
    let schema = match service {
        "orders" => &orders::postgres::POSTGRES_SCHEMA,
        "inventory" => &crate::shop::inventory::postgres::POSTGRES_SCHEMA,
        _ => panic!("{service} has no function to be replaced"),
    };
    let begin = format!("CREATE FUNCTION {function}(");
    let mut texts = schema.migrations.iter().filter_map(|sql| sql.split_once(&begin));
    let (_, behind) = texts.next().expect("the function is there");
    let (body, _) = behind.split_once("\nEND $$;").expect("it ends");
    assert_eq!(body.matches(from).count(), 1, "{from:?} in {function}");
    let replaced = body.replace(from, to);
    let StoreEngine::Postgres(place) = StoreEngine::of(shop.dir.path()).unwrap() else {
        panic!("the shop is not at PostgreSQL");
    };
    let database = BulkConnection::open(&place.target(service).unwrap())
        .await
        .unwrap();
    let replace = format!("CREATE OR REPLACE FUNCTION {function}({replaced}\nEND $$;");
    database.run(&replace).await.unwrap();
}
