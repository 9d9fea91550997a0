//! The built-in payment provider: it moves no money, but keeps a durable ledger. It stands outside the shop (no
//! service opens its file) and is the independent witness of every test. It must not know orders or sagas;
//! faults are injected around it by another `Provider`, never inside it. To read the ledger:
//! `sqlite3 data/sandbox.db 'SELECT * FROM attempt'`.

mod ledger;
mod methods;
pub(in crate::shop) mod reader;

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

/// The name of the ledger's file in the data directory.
pub const FILE: &str = "sandbox.db";

/// The provider `sandbox`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    store: Store,
    clock: Arc<SteadyClock>,
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
        Sandbox { store, clock }
    }

    /// The schema of the ledger.
    #[must_use]
    pub fn schema() -> &'static Schema {
        &SCHEMA
    }

    fn now(&self) -> String {
        rfc3339(self.clock.now_ms())
    }

    /// The path of the ledger.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store.path()
    }
}

impl Sandbox {
    /// The first of these orders whose receipt is of no charge that succeeded. The provider writes first and
    /// never removes an attempt, so it knows of every receipt, at any moment and whatever retention removed.
    pub(in crate::shop) async fn first_uncharged(
        &self,
        receipts: Vec<(OrderId, String)>,
    ) -> Result<Option<OrderId>, StorageError> {
        Ok(self.store.peek(|connection| {
            let mut charge = connection.prepare(
                "SELECT 1 FROM attempt WHERE 'ch_' || provider_key = ?1 AND provider_key = substr(?1, 4)
                 AND kind = 'charge' AND outcome = 'succeeded'",
            )?;
            for (order, receipt) in receipts {
                if !charge.exists([receipt])? {
                    return Ok(Some(order));
                }
            }
            Ok(None)
        })?)
    }
}

impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn charge<'a>(&'a self, request: &'a ChargeRequest) -> ProviderReply<'a, ChargeOutcome> {
        let (request, at) = (request.clone(), self.now());
        let job = self
            .store
            .write(Admission::Continue, move |tx| ledger::charge(tx, &request, &at));
        Box::pin(async move {
            job.await
                .unwrap_or_else(|error| unanswered(&error, ChargeOutcome::Unknown, ChargeOutcome::Stalled))
        })
    }

    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome> {
        let (key, at) = (provider_key.to_owned(), self.now());
        let job = self
            .store
            .write(Admission::Continue, move |tx| ledger::cancel(tx, &key, &at));
        Box::pin(async move {
            job.await
                .unwrap_or_else(|error| unanswered(&error, CancelOutcome::Unknown, CancelOutcome::Stalled))
        })
    }

    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome> {
        let (request, at) = (request.clone(), self.now());
        let job = self
            .store
            .write(Admission::Continue, move |tx| ledger::refund(tx, &request, &at));
        Box::pin(async move {
            job.await
                .unwrap_or_else(|error| unanswered(&error, RefundOutcome::Unknown, RefundOutcome::Stalled))
        })
    }

    fn accepts_new_work(&self) -> ProviderReply<'_, Result<(), StorageError>> {
        Box::pin(async { Ok(self.store.accepts_new_work().await?) })
    }

    fn probe(&self) -> ProviderReply<'_, Result<(), String>> {
        Box::pin(async { self.store.probe().await.map_err(|stall| stall.to_string()) })
    }
}

/// A ledger that takes no writes moved no money. One that failed says nothing about the money, like a remote
/// provider's 5xx.
fn unanswered<T>(
    error: &WriteError<rusqlite::Error>,
    unknown: fn(String) -> T,
    stalled: fn(String) -> T,
) -> T {
    let says = format!("the sandbox could not answer: {error}");
    if error.is_a_stall() {
        stalled(says)
    } else {
        unknown(says)
    }
}

#[cfg(test)]
mod tests;
