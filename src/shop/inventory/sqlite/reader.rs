//! `inventory.db` opened to be read only, for the audit, an order's report and operators.

use std::path::Path;

use rusqlite::OptionalExtension;

use super::schema::{FILE, SCHEMA};
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::inventory::records::{AuditedReservation, ReservationRecord, ShelfRecord, StockRecord};
use crate::shop::sqlite::StoredLife;
use crate::shop::sqlite::read_only::{ReadOnlyDatabase, holds_any};

/// Stock and reservations as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct SqliteInventoryReader(ReadOnlyDatabase);

impl SqliteInventoryReader {
    /// Opens the inventory under `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<SqliteInventoryReader, StorageError> {
        ReadOnlyDatabase::open(data_dir, FILE, &SCHEMA).map(SqliteInventoryReader)
    }

    /// Whether there is any reservation under `data_dir`; `false` when that cannot be read.
    pub(in crate::shop) async fn holds_any(data_dir: &Path) -> bool {
        holds_any(&data_dir.join(FILE), "reservations")
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects()
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages()
    }

    /// Shows every reservation to `visit`, and reads the stock in the same snapshot.
    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedReservation<'_>),
    ) -> Result<Vec<StockRecord>, StorageError> {
        let snapshot = self.0.connection().unchecked_transaction()?;
        let mut reservations = snapshot.prepare("SELECT order_id, state, items FROM reservations")?;
        let mut rows = reservations.query([])?;
        while let Some(row) = rows.next()? {
            visit(AuditedReservation {
                order: OrderId::from_key(row.get(0)?),
                state: row.get(1)?,
                items: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
            });
        }
        let mut stock = snapshot.prepare(
            "WITH sums AS (SELECT sku, sum(delta) AS made FROM adjustments GROUP BY sku)
             SELECT coalesce(stock.sku, sums.sku), coalesce(made, 0), on_hand, reserved, received, adjusted
             FROM stock FULL JOIN sums ON stock.sku = sums.sku",
        )?;
        let records = stock.query_map([], |row| {
            let on_hand: Option<i64> = row.get(2)?;
            let shelf = |on_hand| -> rusqlite::Result<ShelfRecord> {
                Ok(ShelfRecord {
                    on_hand,
                    reserved: row.get(3)?,
                    received: row.get(4)?,
                    adjusted: row.get(5)?,
                })
            };
            Ok(StockRecord {
                sku: row.get(0)?,
                shelf: on_hand.map(shelf).transpose()?,
                adjustments: row.get(1)?,
            })
        })?;
        Ok(records.collect::<rusqlite::Result<_>>()?)
    }

    /// The reservation of an order.
    pub(in crate::shop) async fn reservation(
        &self,
        order: OrderId,
    ) -> Result<Option<ReservationRecord>, StorageError> {
        let mut statement = self.0.connection().prepare_cached(
            "SELECT state, claim_no, items, reserved_ms, reserved_by, changed_ms,
                coalesce(changed_by, reserved_by), reason
             FROM reservations WHERE order_id = ?1",
        )?;
        let record = statement.query_row([order.key()], |row| {
            let (StoredLife(reserved_by), StoredLife(changed_by)) = (row.get(4)?, row.get(6)?);
            Ok(ReservationRecord {
                state: row.get(0)?,
                claim_no: row.get(1)?,
                items: row.get(2)?,
                reserved_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                reserved_by,
                changed_ms: row.get::<_, i64>(5)?.unsigned_abs(),
                changed_by,
                reason: row.get(7)?,
            })
        });
        Ok(record.optional()?)
    }
}
