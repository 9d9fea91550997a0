//! Opens the databases of the shop at PostgreSQL, for a worker that boots.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::failures::no_signal;
use super::opened::OpenedStores;
use super::reached::ServerAway;
use crate::base::exit::Exit;
use crate::config::Settings;
use crate::postgres::{
    PostgresFailure, PostgresOptions, PostgresSchema, PostgresStore, PostgresTarget, WriterIdentity,
};
use crate::shop::engine::{PostgresPlace, StoreFile, cluster_id};
use crate::shop::evidence::consistency;
use crate::shop::inventory::InventoryRepository;
use crate::shop::inventory::postgres::PostgresInventory;
use crate::shop::orders::OrdersRepository;
use crate::shop::orders::postgres::PostgresOrders;
use crate::shop::payments::PaymentsRepository;
use crate::shop::payments::postgres::PostgresPayments;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sandbox::Sandbox;
use crate::shop::sandbox::postgres::PostgresLedger;
use crate::shop::settings::{PostgresSettings, StoreSettings};
use crate::shop::{event_signal, inventory, orders, payments, sandbox};
use crate::worker::{BootError, BootRefused, Worker};

/// Checks what can be known before a worker starts.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let postgres: PostgresSettings = super::section(settings, "postgres")?;
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
    let open_schema = |schema: &'static PostgresSchema| open_one(worker, &place, schema, options.clone());
    let (orders, inventory, payments, sandbox) = tokio::try_join!(
        open_schema(&orders::postgres::POSTGRES_SCHEMA),
        open_schema(&inventory::postgres::POSTGRES_SCHEMA),
        open_schema(&payments::postgres::POSTGRES_SCHEMA),
        open_schema(&sandbox::postgres::POSTGRES_SCHEMA),
    )?;
    StoreFile::Postgres(place).write(data_dir).map_err(unwritten)?;
    let clock = Arc::new(SteadyClock::begin(data_dir));
    let sandbox = PostgresLedger::new(sandbox);
    Ok(OpenedStores {
        orders: OrdersRepository::Postgres(PostgresOrders::new(orders, Arc::clone(&clock))),
        inventory: InventoryRepository::Postgres(PostgresInventory::new(inventory, Arc::clone(&clock))),
        payments: PaymentsRepository::Postgres(PostgresPayments::new(payments, Arc::clone(&clock))),
        sandbox: Sandbox::at_postgres(sandbox, Arc::clone(&clock)),
        files: Vec::new(),
        clock,
    })
}

/// Where the databases are.
fn place(data_dir: &Path, settings: &PostgresSettings) -> Result<PostgresPlace, BootError> {
    let cluster = cluster_id(data_dir).map_err(unwritten)?;
    let exit = Exit::BadConfig;
    let place = settings.place(cluster);
    Ok(place.map_err(|reason| BootRefused { exit, reason })?)
}

async fn open_one(
    worker: &Worker,
    place: &PostgresPlace,
    schema: &'static PostgresSchema,
    options: PostgresOptions,
) -> Result<PostgresStore, BootError> {
    let life = worker.identity().life;
    let target = place.target(schema.name).map_err(|error| BootRefused {
        exit: Exit::BadConfig,
        reason: error.to_string(),
    })?;
    let target = target.application_name(&format!("cluster/{life}"));
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
