//! Opens the databases with the engine that the configuration names, if the data directory has no other.

use std::path::Path;
use std::sync::Arc;

use super::failures::inconsistent;
use super::files;
use super::opened::OpenedStores;
use crate::base::exit::Exit;
use crate::base::ids::{Generation, HostId};
use crate::config::Settings;
use crate::shop::contract::StorageError;
use crate::shop::engine::{MOVED_NOTE, StoreEngine};
use crate::shop::evidence::consistency;
use crate::shop::inventory::InventoryRepository;
use crate::shop::orders::OrdersRepository;
use crate::shop::payments::PaymentsRepository;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sandbox::{self, Sandbox};
use crate::shop::settings::{EngineName, StoreSettings};
use crate::shop::sqlite::read_only::schema_version;
use crate::shop::{inventory, orders, payments};
use crate::worker::{BootError, BootRefused, Worker};

/// Checks what can be known before a worker starts.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let store: StoreSettings = settings.section("store").map_err(|error| error.to_string())?;
    #[cfg(feature = "postgres")]
    if store.engine == EngineName::Postgres {
        super::databases::check(settings)?;
    }
    fits_directory(store.engine, &settings.cluster.data_dir)
}

/// A directory that has its databases with one engine is not served, empty, with the other.
fn fits_directory(engine: EngineName, data_dir: &Path) -> Result<(), String> {
    if data_dir.join(MOVED_NOTE).exists() {
        return Err(format!(
            "what was in {0} was moved away, and is only kept to be looked at: {0}/{MOVED_NOTE} says more",
            data_dir.display()
        ));
    }
    let there = match StoreEngine::of(data_dir) {
        Ok(there) => there,
        Err(StorageError::Unusable(reason)) => return Err(reason),
        // Whoever opens the databases meets that, too, and has the right words for it.
        Err(_) => return Ok(()),
    };
    match engine {
        EngineName::Sqlite if there.is_postgres() => Err(format!(
            "store.engine is sqlite, and the databases of {} are PostgreSQL's (store.json): set store.engine \
             to postgres, or move them by `cluster move --to sqlite`",
            data_dir.display()
        )),
        EngineName::Sqlite => Ok(()),
        #[cfg(feature = "postgres")]
        EngineName::Postgres if !there.is_postgres() && data_dir.join(orders::FILE).exists() => Err(format!(
            "store.engine is postgres, and {} has its databases in files: move them by `cluster move --to \
             postgres`, or set store.engine to sqlite",
            data_dir.display()
        )),
        #[cfg(feature = "postgres")]
        EngineName::Postgres => Ok(()),
    }
}

/// Opens all of them.
pub(super) async fn open(worker: &Worker) -> Result<OpenedStores, BootError> {
    let store: StoreSettings = worker.section("store")?;
    let data_dir = worker.settings().cluster.data_dir.as_path();
    if let Err(reason) = fits_directory(store.engine, data_dir) {
        let exit = Exit::BadConfig;
        return Err(BootRefused { exit, reason }.into());
    }
    match store.engine {
        EngineName::Sqlite => open_files(worker, &store).await,
        #[cfg(feature = "postgres")]
        EngineName::Postgres => Box::pin(super::databases::open(worker, &store)).await,
    }
}

async fn open_files(worker: &Worker, store: &StoreSettings) -> Result<OpenedStores, BootError> {
    let schemas = [
        (&orders::SCHEMA, orders::FILE),
        (&inventory::SCHEMA, inventory::FILE),
        (&payments::SCHEMA, payments::FILE),
        (Sandbox::schema(), sandbox::FILE),
    ];
    let data_dir = worker.settings().cluster.data_dir.as_path();
    consistency::check_not_emptied(data_dir, worker.identity().life).map_err(inconsistent)?;
    consistency::check_nothing_lost(data_dir)
        .await
        .map_err(inconsistent)?;
    check_older_workers_can_go_on(worker.identity().generation, data_dir)?;
    let stores = files::open_all(worker, &schemas, store.queue_depth)?;
    let files = stores.to_vec();
    let [orders, inventory, payments, sandbox] = stores;
    let clock = Arc::new(SteadyClock::begin(data_dir));
    Ok(OpenedStores {
        orders: OrdersRepository::new(orders, Arc::clone(&clock)),
        inventory: InventoryRepository::new(inventory, Arc::clone(&clock)),
        payments: PaymentsRepository::new(payments, Arc::clone(&clock)),
        sandbox: Sandbox::with_clock(sandbox, Arc::clone(&clock)),
        files,
        host: HostId::UNNAMED,
        #[cfg(feature = "postgres")]
        lease: None,
        clock,
    })
}

/// Refuses to bring a database up to a version that workers of an older program cannot use. Such workers may
/// be running when a generation after the master's first one boots.
pub(super) fn check_older_workers_can_go_on(
    generation: Generation,
    data_dir: &Path,
) -> Result<(), BootError> {
    let later = generation > Generation(1);
    for (file, oldest) in [
        (orders::FILE, orders::OLDEST_COMPATIBLE),
        (inventory::FILE, inventory::OLDEST_COMPATIBLE),
    ] {
        let found = schema_version(&data_dir.join(file)).unwrap_or_default();
        if later && (1..oldest).contains(&found) {
            return Err(BootRefused {
                exit: Exit::BadData,
                reason: format!(
                    "{file} has schema version {found}, and workers of the program before could not use \
                     version {oldest} or \
                     newer, which this program needs: stop the cluster, then start it with this program; \
                     nothing was changed"
                ),
            }
            .into());
        }
    }
    Ok(())
}
