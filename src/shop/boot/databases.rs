//! Opens the databases of the shop at PostgreSQL, for a worker that boots.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::failures::no_signal;
use super::opened::OpenedStores;
use super::reached::ServerAway;
use crate::base::exit::Exit;
use crate::config::Settings;
use crate::postgres::{
    Call, PostgresFailure, PostgresOptions, PostgresSchema, PostgresStore, PostgresTarget, WriterIdentity,
};
use crate::shop::contract::HostIdentity;
use crate::shop::engine::{PostgresPlace, StoreFile, host_id};
use crate::shop::evidence::consistency;
use crate::shop::inventory::InventoryRepository;
use crate::shop::inventory::postgres::PostgresInventory;
use crate::shop::orders::OrdersRepository;
use crate::shop::orders::postgres::PostgresOrders;
use crate::shop::payments::PaymentsRepository;
use crate::shop::payments::postgres::PostgresPayments;
use crate::shop::recovery::host_lease::HostLease;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sandbox::Sandbox;
use crate::shop::sandbox::postgres::PostgresLedger;
use crate::shop::settings::{PostgresSettings, StoreSettings};
use crate::shop::{event_signal, inventory, orders, payments, sandbox};
use crate::sys::clock::since_boot_ms;
use crate::worker::{self, BootError, BootRefused, Worker};

/// Checks what can be known before a worker starts.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let postgres: PostgresSettings = settings.section("postgres").map_err(|error| error.to_string())?;
    for (service, url) in postgres.urls()? {
        let target = PostgresTarget::parse(&url);
        target.map_err(|error| format!("the URL of the database of {service}: {error}"))?;
    }
    Ok(())
}

/// Opens all of them at the same time.
pub(super) async fn open(worker: &Worker, store: &StoreSettings) -> Result<OpenedStores, BootError> {
    let data_dir = worker.settings().cluster.data_dir.as_path();
    let settings: PostgresSettings = worker.section("postgres")?;
    let place = place(data_dir, &settings)?;
    let host = place.host;
    let signal = Arc::new(event_signal::signal(data_dir).map_err(no_signal)?);
    let poisoned = worker.clone();
    let (dir, incarnation) = (data_dir.to_owned(), worker.identity().life.incarnation.0);
    let options = PostgresOptions {
        queue_depth: store.queue_depth,
        on_poison: Arc::new(move |reason| {
            consistency::mark_doubted(&dir, incarnation);
            poisoned.fail(reason);
        }),
        on_signal: Arc::new(move || signal.send()),
    };
    let open_schema =
        |schema: &'static PostgresSchema| open_one(worker, (&place, &settings), schema, options.clone());
    let (orders, inventory, payments, sandbox) = tokio::try_join!(
        open_schema(&orders::postgres::POSTGRES_SCHEMA),
        open_schema(&inventory::postgres::POSTGRES_SCHEMA),
        open_schema(&payments::postgres::POSTGRES_SCHEMA),
        open_schema(&sandbox::postgres::POSTGRES_SCHEMA),
    )?;
    let clock = Arc::new(clock_of(&orders, data_dir).await?);
    StoreFile::Postgres(place).write(data_dir).map_err(unwritten)?;
    let sandbox = PostgresLedger::new(sandbox);
    let orders = PostgresOrders::new(orders, Arc::clone(&clock));
    let lease = worker::master_name().map(|master| HostLease {
        repository: orders.clone(),
        own: HostIdentity {
            host,
            name: hostname(),
            incarnation: worker.identity().life.incarnation,
            master: consistency::short_hash(&master),
        },
        lease: settings.host_lease,
        clock: Arc::clone(&clock),
        others: watch::Sender::default(),
    });
    Ok(OpenedStores {
        orders: OrdersRepository::Postgres(orders),
        inventory: InventoryRepository::Postgres(PostgresInventory::new(inventory, Arc::clone(&clock))),
        payments: PaymentsRepository::Postgres(PostgresPayments::new(payments, Arc::clone(&clock))),
        sandbox: Sandbox::at_postgres(sandbox, Arc::clone(&clock)),
        files: Vec::new(),
        host,
        lease,
        clock,
    })
}

/// The clock of the server, which is that of all hosts.
async fn clock_of(orders: &PostgresStore, data_dir: &Path) -> Result<SteadyClock, BootError> {
    let asked = since_boot_ms();
    let now = "SELECT round(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = orders.look_up(Call::new(now)).await;
    let rows = rows.map_err(|failure| refused("orders", &failure))?;
    let shown: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0)).unwrap_or(0);
    let up = Duration::from_millis(asked.midpoint(since_boot_ms()));
    Ok(SteadyClock::begin_at_server(data_dir, shown.unsigned_abs(), up))
}

/// The name of this machine, for people.
fn hostname() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Where the databases are.
fn place(data_dir: &Path, settings: &PostgresSettings) -> Result<PostgresPlace, BootError> {
    let cluster = settings.cluster_name(data_dir).map_err(unwritten)?;
    let host = host_id(data_dir).map_err(unwritten)?;
    let exit = Exit::BadConfig;
    let place = settings.place(cluster, host);
    Ok(place.map_err(|reason| BootRefused { exit, reason })?)
}

async fn open_one(
    worker: &Worker,
    (place, settings): (&PostgresPlace, &PostgresSettings),
    schema: &'static PostgresSchema,
    options: PostgresOptions,
) -> Result<PostgresStore, BootError> {
    let life = worker.identity().life.at(place.host);
    let target = place.target(schema.name).map_err(|error| BootRefused {
        exit: Exit::BadConfig,
        reason: error.to_string(),
    })?;
    let target = target
        .application_name(&format!("cluster/{life}"))
        .vanished_after(settings.host_lease * 4 / 5)
        .is_shared(settings.cluster.is_some());
    let identity = WriterIdentity::Life(life);
    let opened = PostgresStore::open(target, schema, &place.cluster_id(), identity, options).await;
    opened.map_err(|failure| refused(schema.name, &failure))
}

fn refused(service: &str, failure: &PostgresFailure) -> BootError {
    let reason = format!("the database of {service} cannot be used: {failure}");
    let exit = match failure {
        PostgresFailure::Unreachable(_) | PostgresFailure::Refusing(_) => return ServerAway(reason).into(),
        PostgresFailure::NotPermitted(_) => Exit::NoPermission,
        PostgresFailure::Unusable(_) => Exit::BadData,
        PostgresFailure::Full(_) => Exit::DiskFailed,
        PostgresFailure::Busy
        | PostgresFailure::Conflict(_)
        | PostgresFailure::Fenced
        | PostgresFailure::Unknown(_)
        | PostgresFailure::Failed(_) => Exit::BootFailed,
    };
    BootRefused { exit, reason }.into()
}

fn unwritten(error: io::Error) -> BootError {
    BootRefused {
        exit: Exit::Unwritable,
        reason: format!("the data directory cannot be written: {error}"),
    }
    .into()
}
