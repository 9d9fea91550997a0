//! How the shop boots in a worker: stores, services, catalog and routes, and how it reacts to the master's
//! commands.

#[cfg(feature = "postgres")]
mod databases;
mod engine;
mod failures;
mod feed;
mod files;
#[cfg(feature = "postgres")]
mod hosts;
mod opened;
#[cfg(feature = "postgres")]
mod reached;
#[cfg(test)]
mod tests;
mod who_may;

use std::sync::{Arc, OnceLock};

use axum::Router;

use self::failures::{bad_catalog, inconsistent};
use self::opened::OpenedStores;
use super::contract::StreamId;
use super::customers::{CustomersRepository, CustomersService};
use super::events::{EventFeed, FeedMetrics, FeedServices, StreamsRecorder};
use super::evidence::consistency::{self, Inconsistent, Repositories};
use super::fault_injection::{FaultyProvider, ProviderFaults};
use super::http::{AppState, Orders, drill, routes};
use super::inventory::InventoryService;
use super::orders::{OrdersLimits, OrdersService};
use super::payments::PaymentsService;
use super::payments::provider::Provider;
#[cfg(feature = "postgres")]
use super::recovery::host_lease::HostLease;
use super::recovery::liveness::{LifeLock, LivenessError};
use super::recovery::steady_clock::SteadyClock;
#[cfg(not(feature = "postgres"))]
use super::recovery::storage_watch;
use super::recovery::{maintenance, takeover};
use super::sandbox::Sandbox;
#[cfg(feature = "postgres")]
use super::settings::{EngineName, StoreSettings};
use super::settings::{SECTIONS, ShopSettings};
use super::{grpc, inventory};
use crate::base::exit::Exit;
use crate::base::ids::{Epoch, Life, Slot};
use crate::config::{Settings, duration};
use crate::pool::OrphanedWork;
use crate::saga::definition::ORDER_VERSION;
use crate::store::Store;
use crate::worker::{self, App, BootError, BootRefused, Worker};

/// The shop as an application: `cluster serve` is this and nothing else.
#[must_use]
pub fn app() -> App {
    let booted: Arc<OnceLock<BootedShop>> = Arc::default();
    let drained = Arc::clone(&booted);
    App::new("cluster")
        .about("A shop of three services, served by supervised workers that lose nothing")
        .sections(SECTIONS)
        .check(check)
        .boot(move |worker| async move {
            let OpenedShop {
                state,
                stores,
                clock,
                streams,
                customers,
                orders_stream,
                #[cfg(feature = "postgres")]
                lease,
            } = opened(&worker).await?;
            // Taken before the worker owns an order, and kept until the process ends, because its last writes
            // may still be on their way to the disk after the exit hook.
            let lives: &LifeLock = Box::leak(Box::new(take_life_lock(&worker, state.orders.life())?));
            listen(&worker, &state);
            let shop = BootedShop {
                worker: worker.clone(),
                orders: state.orders.clone(),
                stores: stores.clone(),
                streams: Arc::clone(&streams),
                customers: customers.clone(),
                #[cfg(feature = "postgres")]
                lease: lease.clone().map(|lease| (lease, lives)),
            };
            drop(booted.set(shop));
            who_may::tell(&worker);
            tokio::spawn(tell_of_edited_catalog(worker.clone(), state.inventory.clone()));
            tokio::spawn(takeover::watch(state.orders.clone(), lives, worker.clone()));
            #[cfg(not(feature = "postgres"))]
            let note_of_hosts: storage_watch::NoteOfHosts = Box::new(|| None);
            #[cfg(feature = "postgres")]
            let note_of_hosts = hosts::share(lease, &state, (&worker, &streams));
            let retention = worker.section::<ShopSettings>("shop")?.retention;
            let gauges = maintenance::LeaderGauges::register(&worker)?;
            let consumer = feed::consumer(&worker, &state, orders_stream, customers)?;
            tokio::spawn(maintenance::run(
                state.orders.clone(),
                (clock, streams),
                (worker.clone(), stores, note_of_hosts),
                retention,
                (gauges, consumer),
            ));
            let drills = worker
                .settings()
                .drill
                .routes
                .then(|| drill::routes(state.orders.clone()));
            worker.grpc(grpc::services(&state));
            Ok::<Router, BootError>(routes(state).merge(drills.unwrap_or_default()))
        })
        .on_exit(move || async move {
            // Orders may still be under way whose clients are gone.
            if let Some(shop) = drained.get() {
                takeover::until_it_may_exit(&shop.orders, &shop.worker).await;
                shop.streams.record().await;
                shop.stores.iter().for_each(Store::close);
                shop.customers.close();
                #[cfg(feature = "postgres")]
                if let Some((lease, lives)) = &shop.lease {
                    lease.leave_as_the_last(lives).await;
                }
            }
        })
}

/// What the exit hook needs.
struct BootedShop {
    worker: Worker,
    orders: Orders,
    stores: Vec<Store>,
    streams: Arc<StreamsRecorder>,
    customers: CustomersRepository,
    #[cfg(feature = "postgres")]
    lease: Option<(HostLease, &'static LifeLock)>,
}

fn take_life_lock(worker: &Worker, life: Life) -> Result<LifeLock, LivenessError> {
    LifeLock::take(&worker.settings().cluster.data_dir, life)
}

fn check(settings: &Settings) -> Result<(), String> {
    let shop: ShopSettings = settings.section("shop").map_err(|error| error.to_string())?;
    if shop.retention < shop.idempotency_retention {
        return Err(
            "shop.retention is shorter than shop.idempotency_retention, expected at least as long, or a key would outlive its \
             order: raise the first or lower the second"
                .to_owned(),
        );
    }
    faults_are_possible(
        settings,
        settings
            .section("provider_faults")
            .map_err(|error| error.to_string())?,
    )?;
    if settings.http.request_timeout <= shop.order_wait {
        return Err(format!(
            "http.request_timeout is {}, expected more than shop.order_wait ({}), or an order that takes its time is answered 503 \
             instead of 202: raise the first or lower the second",
            duration::format(settings.http.request_timeout),
            duration::format(shop.order_wait)
        ));
    }
    who_may::guard(settings).map_err(|error| error.to_string())?;
    engine::check(settings)?;
    catalog_is_good(settings, &shop)
}

/// The catalog is read once in the life of a data directory, so what became of the file after that refuses no
/// start. A worker that finds the inventory empty all the same reads it, and refuses a wrong one.
fn catalog_is_good(settings: &Settings, shop: &ShopSettings) -> Result<(), String> {
    if settings.cluster.data_dir.join(inventory::FILE).exists() {
        return Ok(());
    }
    let read = inventory::catalog::read(shop.catalog.as_deref());
    read.map(drop).map_err(|error| error.to_string())
}

/// Says that the catalog is another one than the one that was loaded, since nothing else happens with it.
/// One worker says so, after its boot. A file that is gone needs no word.
async fn tell_of_edited_catalog(worker: Worker, inventory: InventoryService) {
    let path = worker
        .section::<ShopSettings>("shop")
        .ok()
        .and_then(|shop| shop.catalog);
    let Some(path) = path.filter(|_| worker.identity().life.slot == Slot(0)) else {
        return;
    };
    let Ok(Some(loaded)) = inventory.catalog_fingerprint().await else {
        return;
    };
    let file = path.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
    if let Ok(Ok(text)) = read
        && inventory::catalog::fingerprint(&text) != loaded
    {
        tracing::warn!(
            path = %path.display(),
            "the catalog is not the one that was put on the shelf at the first start, and it is not read \
             again: change articles with PATCH /inventory/SKU, and counts with POST \
             /inventory/SKU/adjustments"
        );
    }
}

/// Injected faults must not meet real money, so they are refused unless every address is loopback.
fn faults_are_possible(settings: &Settings, faults: ProviderFaults) -> Result<(), String> {
    let open = settings
        .cluster
        .bind
        .iter()
        .find(|address| !address.is_loopback());
    match open {
        Some(open) if faults.are_on() => Err(format!(
            "[provider_faults] is on while bind has {open}, expected loopback addresses alone: set its numbers to 0, or bind \
             127.0.0.1, [::1] or unix: only"
        )),
        Some(_) | None if faults.sum() > 100 => Err(format!(
            "fail, lose, late and slow of [provider_faults] make {} of 100 calls, expected at most 100: \
             lower one of them",
            faults.sum()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The shop for a worker that boots. Databases of another server are waited for.
async fn opened(worker: &Worker) -> Result<OpenedShop, BootError> {
    #[cfg(feature = "postgres")]
    if worker.section::<StoreSettings>("store")?.engine == EngineName::Postgres {
        return reached::open_when_reached(worker).await;
    }
    open_with_stores(worker).await
}

/// Opens the four databases at the same time, and the services over them.
///
/// # Errors
/// Why the worker cannot boot: a bad section, a bad catalog, a database that must not be opened.
pub async fn open(worker: &Worker) -> Result<AppState, BootError> {
    open_with_stores(worker).await.map(|opened| opened.state)
}

/// The shop over its open files.
pub(super) struct OpenedShop {
    pub(super) state: AppState,
    /// The exit hook closes them, so that the last worker of a stopping cluster leaves databases that are
    /// complete without a WAL. In the order orders, inventory, payments, sandbox.
    pub(super) stores: Vec<Store>,
    /// Dates everything that is written to the files.
    pub(super) clock: Arc<SteadyClock>,
    /// Writes down how far the events have come.
    pub(super) streams: Arc<StreamsRecorder>,
    /// The summaries of customers.
    pub(super) customers: CustomersRepository,
    /// The line of the events of orders.
    pub(super) orders_stream: StreamId,
    /// The lease of this host, where other hosts may take over.
    #[cfg(feature = "postgres")]
    pub(super) lease: Option<HostLease>,
}

/// As [`open`], with what is needed besides the services.
pub(super) async fn open_with_stores(worker: &Worker) -> Result<OpenedShop, BootError> {
    let shop: ShopSettings = worker.section("shop")?;
    let data_dir = worker.settings().cluster.data_dir.as_path();
    let OpenedStores {
        orders,
        inventory,
        payments,
        sandbox,
        files: kept,
        host,
        #[cfg(feature = "postgres")]
        lease,
        clock,
    } = engine::open(worker).await?;
    let repositories = Repositories {
        orders: &orders,
        inventory: &inventory,
        payments: &payments,
        sandbox: &sandbox,
    };
    check_consistency(worker, repositories).await?;
    let recorder = StreamsRecorder::new(data_dir, &orders, &inventory, &payments);
    let lines = feed::begin(data_dir, repositories).await?;
    let inventory = InventoryService::new(inventory);
    stock(&inventory, &shop).await?;
    let provider = provider(sandbox, worker.section("provider_faults")?);
    let payments = PaymentsService::new(payments, provider);
    let fenced = worker.clone();
    let orders = OrdersService::new(
        orders,
        inventory.clone(),
        payments.clone(),
        worker.identity().life.at(host),
        limits(&shop),
        Arc::clone(&clock),
    )
    .on_fenced(move || fenced.fail("it was taken for dead, and its orders were taken over"));
    every_live_saga_is_known(&orders).await?;
    let max_body_bytes = worker.settings().http.max_body_bytes;
    let services = FeedServices {
        orders: orders.clone(),
        inventory: inventory.clone(),
        payments: payments.clone(),
    };
    let customers = feed::customers(worker, &clock)?;
    let state = AppState {
        customers: CustomersService::new(customers.clone()),
        events: EventFeed::new(worker, services, lines, FeedMetrics::register(worker)?),
        longest_wait: feed::longest_wait(worker.settings().http.request_timeout),
        orders,
        inventory,
        payments,
        internal: who_may::guard(worker.settings())?,
        order_wait: shop.order_wait,
        docs: shop.docs,
        max_body_bytes,
    };
    Ok(OpenedShop {
        state,
        stores: kept,
        clock,
        streams: Arc::new(recorder),
        customers,
        orders_stream: lines[0],
        #[cfg(feature = "postgres")]
        lease,
    })
}

/// Puts the catalog on the shelf at the first start. A large one takes longer to read than everything else,
/// so it is not read later.
async fn stock(inventory: &InventoryService, shop: &ShopSettings) -> Result<(), BootError> {
    if !inventory.is_stocked().await? {
        let catalog = inventory::catalog::read(shop.catalog.as_deref()).map_err(bad_catalog)?;
        inventory.stock(catalog).await?;
    }
    Ok(())
}

fn limits(shop: &ShopSettings) -> OrdersLimits {
    OrdersLimits {
        max_live_sagas: shop.max_live_sagas,
        idempotency_retention: shop.idempotency_retention,
        events_retention: shop.events_retention,
    }
}

fn provider(sandbox: Sandbox, faults: ProviderFaults) -> Arc<dyn Provider> {
    let sandbox: Arc<dyn Provider> = Arc::new(sandbox);
    if faults.are_on() {
        Arc::new(FaultyProvider::new(sandbox, faults))
    } else {
        sandbox
    }
}

/// Checks that the files belong together, or that an operator said to serve them nevertheless. Checked once
/// for each master. A replacement worker has no time for it, unless the worker before could no longer trust a
/// file.
async fn check_consistency(worker: &Worker, repositories: Repositories<'_>) -> Result<(), BootError> {
    let data_dir = worker.settings().cluster.data_dir.as_path();
    let life = worker.identity().life;
    let own = life.incarnation;
    if life.epoch <= Epoch(1) {
        // A note from before this master may be about other files.
        consistency::forget(data_dir);
    } else if consistency::was_consistent(data_dir, own.0) {
        return Ok(());
    }
    let counter = consistency::check_counter(data_dir, own, repositories).await;
    counter.map_err(inconsistent)?;
    if let Some(master) = worker::master_name() {
        let claimed = consistency::claim_incarnation(data_dir, own, &master, repositories.orders).await;
        claimed.map_err(inconsistent)?;
    }
    match consistency::check_files_agree(data_dir, repositories).await {
        Err(mixed @ Inconsistent::Mixed { .. }) if data_dir.join(consistency::AS_IT_IS).exists() => {
            tracing::warn!("served as it is: {mixed}");
        }
        agree => agree.map_err(inconsistent)?,
    }
    consistency::note(data_dir, own.0);
    Ok(())
}

/// A saga keeps the version of its definition. A program that does not know the version must not run the
/// saga, and refuses to serve.
async fn every_live_saga_is_known(orders: &Orders) -> Result<(), BootError> {
    let unknown = orders.unknown_versions().await?;
    if unknown.is_empty() {
        return Ok(());
    }
    let live: Vec<String> = unknown
        .iter()
        .map(|(many, version)| format!("{many} live sagas of version {version}"))
        .collect();
    let reason = format!(
        "there are {}; this binary runs up to {ORDER_VERSION}: start the newer binary until `sagas list` is \
         empty",
        live.join(", ")
    );
    Err(BootRefused {
        exit: Exit::BadData,
        reason,
    }
    .into())
}

fn listen(worker: &Worker, state: &AppState) {
    let orders = state.orders.clone();
    worker.on_takeover(move |work| {
        let orders = orders.clone();
        async move {
            match work {
                OrphanedWork::Life(life) => orders.take_over_life(life.at(orders.life().host)).await,
                OrphanedWork::Before(incarnation) => orders.take_over_before(incarnation).await,
            };
        }
    });
    let state = state.clone();
    worker.readiness(move || {
        let state = state.clone();
        async move {
            let (orders, inventory, payments) = tokio::join!(
                state.orders.probe(),
                state.inventory.probe(),
                state.payments.probe()
            );
            orders.and(inventory).and(payments)
        }
    });
}
