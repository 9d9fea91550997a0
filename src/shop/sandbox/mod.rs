//! The built-in payment provider: it moves no money, but keeps a durable ledger. It stands outside the shop (no
//! service opens its file) and is the independent witness of every test. It must not know orders or sagas;
//! faults are injected around it by another `Provider`, never inside it. To read the ledger:
//! `sqlite3 data/sandbox.db 'SELECT * FROM attempt'`.

mod ledger;
mod methods;
#[cfg(feature = "postgres")]
pub(in crate::shop) mod postgres;
pub(in crate::shop) mod reader;
mod readers;

use std::path::Path;
use std::sync::Arc;

use crate::shop::contract::{OrderId, StorageError};
use crate::shop::payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, Provider, ProviderReply, RefundOutcome, RefundRequest,
};
use crate::shop::recovery::clock::rfc3339;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Admission, OpenError, Schema, Store, StoreOptions, WriteError};

pub use ledger::SCHEMA;
pub(in crate::shop) use readers::LedgerReader;

/// The name of the ledger's file in the data directory.
pub const FILE: &str = "sandbox.db";

/// The provider `sandbox`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    ledger: LedgerStore,
    clock: Arc<SteadyClock>,
}

/// Where the ledger is.
#[derive(Clone, Debug)]
enum LedgerStore {
    Sqlite(Store),
    #[cfg(feature = "postgres")]
    Postgres(postgres::PostgresLedger),
}

impl Sandbox {
    /// Opens the ledger; `options.path` is usually `<data-dir>/sandbox.db`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(options: StoreOptions) -> Result<Sandbox, OpenError> {
        Ok(Sandbox::new(Store::open(&SCHEMA, options)?))
    }

    /// Over a store that was opened with [`SCHEMA`]. Attempts are dated by the clock of the store's
    /// directory.
    #[must_use]
    pub fn new(store: Store) -> Sandbox {
        let directory = store.path().parent().unwrap_or(Path::new("."));
        let clock = Arc::new(SteadyClock::open(directory));
        Sandbox::with_clock(store, clock)
    }

    /// Over a store that was opened with [`SCHEMA`]. `clock` dates the attempts.
    pub(in crate::shop) fn with_clock(store: Store, clock: Arc<SteadyClock>) -> Sandbox {
        let ledger = LedgerStore::Sqlite(store);
        Sandbox { ledger, clock }
    }

    /// Over a database of PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(in crate::shop) fn at_postgres(ledger: postgres::PostgresLedger, clock: Arc<SteadyClock>) -> Sandbox {
        let ledger = LedgerStore::Postgres(ledger);
        Sandbox { ledger, clock }
    }

    /// The schema of the ledger.
    #[must_use]
    pub fn schema() -> &'static Schema {
        &SCHEMA
    }

    fn now(&self) -> String {
        rfc3339(self.clock.now_ms())
    }
}

impl Sandbox {
    /// The first of these orders whose receipt is of no charge that succeeded. The provider writes first and
    /// never removes an attempt, so it knows of every receipt, at any moment and whatever retention removed.
    pub(in crate::shop) async fn first_uncharged(
        &self,
        receipts: Vec<(OrderId, String)>,
    ) -> Result<Option<OrderId>, StorageError> {
        match &self.ledger {
            LedgerStore::Sqlite(store) => {
                Ok(store.peek(|connection| ledger::first_uncharged(connection, receipts))?)
            }
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => ledger.first_uncharged(receipts).await,
        }
    }
}

impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn charge<'a>(&'a self, request: &'a ChargeRequest) -> ProviderReply<'a, ChargeOutcome> {
        let (request, at) = (request.clone(), self.now());
        let answer: ProviderReply<'a, Result<ChargeOutcome, NoAnswer>> = match &self.ledger {
            LedgerStore::Sqlite(store) => {
                let job = store.write(Admission::Continue, move |tx| ledger::charge(tx, &request, &at));
                Box::pin(async move { Ok(job.await?) })
            }
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => Box::pin(async move { Ok(ledger.charge(request, at).await?) }),
        };
        Box::pin(async move {
            let unanswered = |why: NoAnswer| why.told(ChargeOutcome::Unknown, ChargeOutcome::Stalled);
            answer.await.unwrap_or_else(unanswered)
        })
    }

    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome> {
        let (key, at) = (provider_key.to_owned(), self.now());
        let answer: ProviderReply<'a, Result<CancelOutcome, NoAnswer>> = match &self.ledger {
            LedgerStore::Sqlite(store) => {
                let job = store.write(Admission::Continue, move |tx| ledger::cancel(tx, &key, &at));
                Box::pin(async move { Ok(job.await?) })
            }
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => Box::pin(async move { Ok(ledger.cancel(key, at).await?) }),
        };
        Box::pin(async move {
            let unanswered = |why: NoAnswer| why.told(CancelOutcome::Unknown, CancelOutcome::Stalled);
            answer.await.unwrap_or_else(unanswered)
        })
    }

    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome> {
        let (request, at) = (request.clone(), self.now());
        let answer: ProviderReply<'a, Result<RefundOutcome, NoAnswer>> = match &self.ledger {
            LedgerStore::Sqlite(store) => {
                let job = store.write(Admission::Continue, move |tx| ledger::refund(tx, &request, &at));
                Box::pin(async move { Ok(job.await?) })
            }
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => Box::pin(async move { Ok(ledger.refund(request, at).await?) }),
        };
        Box::pin(async move {
            let unanswered = |why: NoAnswer| why.told(RefundOutcome::Unknown, RefundOutcome::Stalled);
            answer.await.unwrap_or_else(unanswered)
        })
    }

    fn accepts_new_work(&self) -> ProviderReply<'_, Result<(), StorageError>> {
        match &self.ledger {
            LedgerStore::Sqlite(store) => Box::pin(async { Ok(store.accepts_new_work().await?) }),
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => Box::pin(ledger.accepts_new_work()),
        }
    }

    fn probe(&self) -> ProviderReply<'_, Result<(), String>> {
        match &self.ledger {
            LedgerStore::Sqlite(store) => {
                Box::pin(async { store.probe().await.map_err(|stall| stall.to_string()) })
            }
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(ledger) => Box::pin(ledger.probe()),
        }
    }
}

/// Why the ledger has not answered.
struct NoAnswer {
    says: String,
    is_a_stall: bool,
}

impl NoAnswer {
    /// A ledger that takes no writes moved no money. One that failed says nothing about the money, like a
    /// remote provider's 5xx.
    fn told<T>(self, unknown: fn(String) -> T, stalled: fn(String) -> T) -> T {
        let says = format!("the sandbox could not answer: {}", self.says);
        match self.is_a_stall {
            true => stalled(says),
            false => unknown(says),
        }
    }
}

impl From<WriteError<rusqlite::Error>> for NoAnswer {
    fn from(error: WriteError<rusqlite::Error>) -> NoAnswer {
        NoAnswer {
            says: error.to_string(),
            is_a_stall: error.is_a_stall(),
        }
    }
}

#[cfg(feature = "postgres")]
impl From<crate::postgres::PostgresFailure> for NoAnswer {
    fn from(failure: crate::postgres::PostgresFailure) -> NoAnswer {
        let is_a_stall = StorageError::from(failure.clone()).is_passing()
            && !matches!(failure, crate::postgres::PostgresFailure::Unknown(_));
        NoAnswer {
            says: failure.to_string(),
            is_a_stall,
        }
    }
}

#[cfg(test)]
mod tests;
