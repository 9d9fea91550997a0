//! What is stored, whichever engine holds it, for readers that change nothing: one method is one transaction.

use std::path::Path;

#[cfg(feature = "postgres")]
use super::postgres::PostgresLedgerReader;
use super::reader::{AuditedCharge, LedgerAttempt, SqliteLedgerReader};
use crate::shop::by_engine::{either, open_reader};
use crate::shop::contract::{OrderId, StorageError};

/// The ledger as they are stored, for readers that change nothing.
pub(in crate::shop) enum LedgerReader {
    /// In a file of the data directory.
    Sqlite(SqliteLedgerReader),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PostgresLedgerReader),
}

impl LedgerReader {
    /// Opens what belongs to `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<LedgerReader, StorageError> {
        open_reader!(LedgerReader, SqliteLedgerReader, PostgresLedgerReader, data_dir)
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        either!(self, reader => reader.missing_objects().await)
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        either!(self, reader => reader.check_pages().await)
    }

    /// Shows every charge that stands to `visit`.
    pub(in crate::shop) async fn audit(
        &self,
        visit: impl FnMut(AuditedCharge<'_>),
    ) -> Result<(), StorageError> {
        either!(self, reader => reader.audit(visit).await)
    }

    /// How many charges stand for the order.
    pub(in crate::shop) async fn standing_charges(&self, order: OrderId) -> Result<u64, StorageError> {
        either!(self, reader => reader.standing_charges(order).await)
    }

    /// Every attempt that was made for the order.
    pub(in crate::shop) async fn attempts(&self, order: OrderId) -> Result<Vec<LedgerAttempt>, StorageError> {
        either!(self, reader => reader.attempts(order).await)
    }
}
