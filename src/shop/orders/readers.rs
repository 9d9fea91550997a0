//! What is stored, whichever engine holds it, for readers that change nothing: one method is one transaction.

use std::path::Path;

#[cfg(feature = "postgres")]
use super::postgres::PostgresOrdersReader;
use super::records::{
    AuditedOrder, ListedOrder, ListedOrdersQuery, OrderDetails, OrderStanding, OrdersAudit, RetentionRange,
};
use super::repository::TakeoverRecord;
use super::sqlite::SqliteOrdersReader;
use crate::base::ids::{Incarnation, Life};
use crate::shop::by_engine::{either, open_reader};
use crate::shop::contract::{CustomerId, CustomerTotals, OrderId, OrdersMark, StorageError};

/// The orders as they are stored, for readers that change nothing.
pub(in crate::shop) enum OrdersReader {
    /// In a file of the data directory.
    Sqlite(SqliteOrdersReader),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(PostgresOrdersReader),
}

impl OrdersReader {
    /// Opens what belongs to `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<OrdersReader, StorageError> {
        open_reader!(OrdersReader, SqliteOrdersReader, PostgresOrdersReader, data_dir)
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        either!(self, reader => reader.missing_objects().await)
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        either!(self, reader => reader.check_pages().await)
    }

    /// The highest incarnation that the orders know of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        either!(self, reader => reader.newest_incarnation().await)
    }

    /// Shows every order to `visit`, and reads the events and keys in the same snapshot.
    pub(in crate::shop) async fn audit(
        &self,
        visit: impl FnMut(AuditedOrder<'_>),
    ) -> Result<OrdersAudit, StorageError> {
        either!(self, reader => reader.audit(visit).await)
    }

    /// How far retention has come.
    pub(in crate::shop) async fn retention_range(&self) -> Result<RetentionRange, StorageError> {
        either!(self, reader => reader.retention_range().await)
    }

    /// Every claim of a saga after its first.
    pub(in crate::shop) async fn takeovers(&self) -> Result<Vec<(OrderId, TakeoverRecord)>, StorageError> {
        either!(self, reader => reader.takeovers().await)
    }

    /// Where the order stands.
    pub(in crate::shop) async fn standing(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderStanding>, StorageError> {
        either!(self, reader => reader.standing(order).await)
    }

    /// Everything that is stored about the order, read in one snapshot.
    pub(in crate::shop) async fn records(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderDetails>, StorageError> {
        either!(self, reader => reader.records(order).await)
    }

    /// The newest event.
    pub(in crate::shop) async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        either!(self, reader => reader.newest_event().await)
    }

    /// How many events there are behind that number.
    pub(in crate::shop) async fn events_behind(&self, number: u64) -> Result<u64, StorageError> {
        either!(self, reader => reader.events_behind(number).await)
    }

    /// The totals of the next customers after that one, as of the event of that number.
    pub(in crate::shop) async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        either!(self, reader => reader.totals_as_of(number, after, limit).await)
    }

    /// Whether that life is fenced off.
    pub(in crate::shop) async fn is_fenced(&self, life: Life) -> Result<bool, StorageError> {
        either!(self, reader => reader.is_fenced(life).await)
    }

    /// The orders that are parked, the oldest first.
    pub(in crate::shop) async fn parked(&self) -> Result<Vec<OrderId>, StorageError> {
        either!(self, reader => reader.parked().await)
    }

    /// The orders that an operator wants to see, the oldest first.
    pub(in crate::shop) async fn list(
        &self,
        query: ListedOrdersQuery,
    ) -> Result<Vec<ListedOrder>, StorageError> {
        either!(self, reader => reader.list(query).await)
    }
}
