//! What is stored, whichever engine holds it, for readers that change nothing: one method is one transaction.

use std::path::Path;

#[cfg(feature = "postgres")]
use super::postgres::PostgresInventoryReader;
use super::records::{AuditedReservation, ReservationRecord, StockRecord};
use super::sqlite::SqliteInventoryReader;
use crate::shop::by_engine::{either, open_reader};
use crate::shop::contract::{OrderId, StorageError};

/// Stock and reservations as they are stored, for readers that change nothing.
pub(in crate::shop) enum InventoryReader {
    /// In a file of the data directory.
    Sqlite(SqliteInventoryReader),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PostgresInventoryReader),
}

impl InventoryReader {
    /// Opens what belongs to `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<InventoryReader, StorageError> {
        open_reader!(
            InventoryReader,
            SqliteInventoryReader,
            PostgresInventoryReader,
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

    /// Shows every reservation to `visit`, and reads the stock in the same snapshot.
    pub(in crate::shop) async fn audit(
        &self,
        visit: impl FnMut(AuditedReservation<'_>),
    ) -> Result<Vec<StockRecord>, StorageError> {
        either!(self, reader => reader.audit(visit).await)
    }

    /// The reservation of an order.
    pub(in crate::shop) async fn reservation(
        &self,
        order: OrderId,
    ) -> Result<Option<ReservationRecord>, StorageError> {
        either!(self, reader => reader.reservation(order).await)
    }
}
