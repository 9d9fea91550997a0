//! What is stored, whichever engine holds it, for readers that change nothing: one method is one transaction.

use std::path::Path;

#[cfg(feature = "postgres")]
use super::postgres::PostgresPaymentsReader;
use super::records::{AuditedPayment, PaymentRecord};
use super::sqlite::SqlitePaymentsReader;
use crate::shop::by_engine::{either, open_reader};
use crate::shop::contract::{OrderId, StorageError};

/// Payments as they are stored, for readers that change nothing.
pub(in crate::shop) enum PaymentsReader {
    /// In a file of the data directory.
    Sqlite(SqlitePaymentsReader),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PostgresPaymentsReader),
}

impl PaymentsReader {
    /// Opens what belongs to `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<PaymentsReader, StorageError> {
        open_reader!(
            PaymentsReader,
            SqlitePaymentsReader,
            PostgresPaymentsReader,
            data_dir
        )
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        either!(self, reader => reader.missing_objects().await)
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        either!(self, reader => reader.check_pages().await)
    }

    /// Shows every payment to `visit`.
    pub(in crate::shop) async fn audit(
        &self,
        visit: impl FnMut(AuditedPayment<'_>),
    ) -> Result<(), StorageError> {
        either!(self, reader => reader.audit(visit).await)
    }

    /// The payment of an order.
    pub(in crate::shop) async fn payment(
        &self,
        order: OrderId,
    ) -> Result<Option<PaymentRecord>, StorageError> {
        either!(self, reader => reader.payment(order).await)
    }
}
