//! The read model in `customers.db`. Every statement about it is in this folder, and one method of the
//! repository is one transaction.

mod schema;
mod totals;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::summary::CustomerSummary;
use crate::scoreboard::Board;
use crate::shop::contract::{CustomerId, CustomerTotals, OrdersMark, StorageError};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sqlite::read_only::ReadOnlyDatabase;
use crate::store::{Admission, PoisonHook, Store, StoreOptions, Tx};

pub use schema::{FILE, SCHEMA};

/// What came of events that were to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApplyOutcome {
    /// They are in the model.
    Applied,
    /// The model was built anew meanwhile, and nothing was written.
    Moved,
}

/// The model as it is stored. Cheap to clone. Its file is opened, and made if it is not there, when it is
/// first used.
#[derive(Clone)]
pub struct CustomersRepository {
    inner: Arc<CustomersFile>,
}

struct CustomersFile {
    options: StoreOptions,
    clock: Arc<SteadyClock>,
    store: OnceLock<Store>,
}

impl CustomersRepository {
    /// The file in that directory. `on_poison` is told when it can no longer be trusted.
    pub(in crate::shop) fn new(
        data_dir: &Path,
        board: &Board,
        clock: Arc<SteadyClock>,
        on_poison: PoisonHook,
    ) -> Result<CustomersRepository, StorageError> {
        let cell = board.cell(SCHEMA.name);
        let cell = cell.ok_or_else(|| StorageError::Failed("the board has no cell left".to_owned()))?;
        let options = StoreOptions {
            on_poison,
            ..StoreOptions::new(data_dir.join(FILE), cell)
        };
        Ok(CustomersRepository {
            inner: Arc::new(CustomersFile {
                options,
                clock,
                store: OnceLock::new(),
            }),
        })
    }

    fn store(&self) -> Result<&Store, StorageError> {
        let CustomersFile { options, store, .. } = &*self.inner;
        if let Some(store) = store.get() {
            return Ok(store);
        }
        let opened = Store::open(&SCHEMA, options.clone());
        let opened = opened.map_err(|error| {
            let remedy =
                "it holds nothing that cannot be built again: remove it with its -wal, -shm and .lock";
            StorageError::Unavailable(format!("{error} ({remedy})"))
        })?;
        Ok(store.get_or_init(|| opened))
    }

    /// Closes the file, if it is open.
    pub(in crate::shop) fn close(&self) {
        if let Some(store) = self.inner.store.get() {
            store.close();
        }
    }

    /// The last event that is in the model; `None` without a model.
    pub(super) async fn mark(&self) -> Result<Option<OrdersMark>, StorageError> {
        Ok(self.store()?.peek(totals::mark)?)
    }

    /// Adds what events come to, and writes how far the model has come with them.
    pub(super) async fn apply(
        &self,
        from: OrdersMark,
        totals: Vec<CustomerTotals>,
        to: OrdersMark,
    ) -> Result<ApplyOutcome, StorageError> {
        let clock = Arc::clone(&self.inner.clock);
        let job = move |tx: &Tx<'_>| totals::apply(tx, from, &totals, to, clock.now_ms());
        Ok(self.store()?.write(Admission::Continue, job).await?)
    }

    /// Writes totals of a generation that is not in use yet.
    pub(super) async fn prepare(
        &self,
        generation: i64,
        totals: Vec<CustomerTotals>,
    ) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| totals::prepare(tx, generation, &totals);
        Ok(self.store()?.write(Admission::Continue, job).await?)
    }

    /// Puts a generation to use, if it has so many rows.
    pub(super) async fn replace(
        &self,
        generation: i64,
        rows: usize,
        mark: OrdersMark,
    ) -> Result<bool, StorageError> {
        let clock = Arc::clone(&self.inner.clock);
        let job = move |tx: &Tx<'_>| totals::replace(tx, generation, rows, mark, clock.now_ms());
        Ok(self.store()?.write(Admission::Continue, job).await?)
    }

    /// Removes what is not in use, in transactions of a bounded size.
    pub(super) async fn remove_unused(&self) -> Result<(), StorageError> {
        while self.store()?.peek(totals::has_unused)? {
            let job = move |tx: &Tx<'_>| totals::remove_unused(tx);
            self.store()?.write(Admission::Continue, job).await?;
        }
        Ok(())
    }

    /// What that customer ordered.
    pub(super) async fn summary(
        &self,
        customer: CustomerId,
    ) -> Result<Option<CustomerSummary>, StorageError> {
        let store = self.store()?;
        let found = store.peek(|connection| totals::summary(connection, &customer))?;
        if found.is_none() && store.peek(totals::mark)?.is_none() {
            let reason = "the summaries of customers are being built for the first time";
            return Err(StorageError::Stalled(reason.to_owned()));
        }
        Ok(found)
    }
}

impl std::fmt::Debug for CustomersRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomersRepository").finish_non_exhaustive()
    }
}

/// A row of the model, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct ReadModelRow {
    pub(in crate::shop) customer: String,
    pub(in crate::shop) currency: String,
    pub(in crate::shop) orders: u64,
    /// In minor units.
    pub(in crate::shop) amount: u64,
}

/// The model opened to be read only, for the audit.
pub(in crate::shop) struct CustomersReader(ReadOnlyDatabase);

impl CustomersReader {
    /// Opens the model under `data_dir`; `None` when there is none.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<Option<CustomersReader>, StorageError> {
        if !data_dir.join(FILE).exists() {
            return Ok(None);
        }
        ReadOnlyDatabase::open(data_dir, FILE, &SCHEMA).map(|file| Some(CustomersReader(file)))
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages()
    }

    /// How far the model has come, and all its rows, at one instant; `None` when it was not built yet.
    pub(in crate::shop) async fn rows(
        &self,
    ) -> Result<Option<(OrdersMark, Vec<ReadModelRow>)>, StorageError> {
        let snapshot = self.0.connection().unchecked_transaction()?;
        let Some(mark) = totals::mark(&snapshot)? else {
            return Ok(None);
        };
        Ok(Some((mark, totals::all(&snapshot)?)))
    }
}
