//! The inventory of a database to be read only, for the audit, an order's report and operators.

use super::row;
use crate::postgres::Call;
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::engine::PostgresPlace;
use crate::shop::inventory::records::{AuditedReservation, ReservationRecord, ShelfRecord, StockRecord};
use crate::shop::postgres::{Columns, DatabaseReader, each_row};

/// Reservations that are read at once for the audit.
const AT_ONCE: i64 = 10_000;

/// Stock and reservations as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct PostgresInventoryReader(DatabaseReader);

impl PostgresInventoryReader {
    /// Of the database of that place, which is looked at once to see whether it can be read.
    pub(in crate::shop) async fn open(
        place: &PostgresPlace,
    ) -> Result<PostgresInventoryReader, StorageError> {
        DatabaseReader::open(place, &super::POSTGRES_SCHEMA)
            .await
            .map(PostgresInventoryReader)
    }

    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects().await
    }

    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages().await
    }

    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedReservation<'_>),
    ) -> Result<Vec<StockRecord>, StorageError> {
        let snapshot = self.0.snapshot().await?;
        let page =
            "SELECT order_id, state, items FROM reservations WHERE order_id > $1 ORDER BY order_id LIMIT $2";
        each_row(&snapshot, page, (i64::MIN, AT_ONCE), |row| {
            let items: String = row.get(2)?;
            visit(AuditedReservation {
                order: row.order(0)?,
                state: row::state(row, 1)?,
                items: &items,
            });
            Ok(())
        })
        .await?;
        let stock = "SELECT coalesce(s.sku, a.sku), coalesce(a.made, 0), s.on_hand, s.reserved,
            s.received, s.adjusted
            FROM stock AS s FULL JOIN (SELECT sku, sum(delta)::bigint AS made FROM adjustments GROUP BY
                sku) AS a
            ON a.sku = s.sku";
        let rows = snapshot.read(Call::new(stock)).await?;
        let records = rows.iter().map(Columns).map(|row| {
            let on_hand: Option<i64> = row.get(2)?;
            let shelf = |on_hand| {
                Ok::<_, StorageError>(ShelfRecord {
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
        });
        records.collect()
    }

    pub(in crate::shop) async fn reservation(
        &self,
        order: OrderId,
    ) -> Result<Option<ReservationRecord>, StorageError> {
        let of = "SELECT state, claim_no, items, reserved_ms, reserved_by, changed_ms,
            coalesce(changed_by, reserved_by), reason FROM reservations WHERE order_id = $1";
        let rows = self.0.rows(Call::new(of).bind(order.key())).await?;
        let record = rows.first().map(Columns).map(|row| {
            Ok::<_, StorageError>(ReservationRecord {
                state: row::state(row, 0)?,
                claim_no: row.small(1)?,
                items: row.get(2)?,
                reserved_ms: row.count(3)?,
                reserved_by: row.life(4)?,
                changed_ms: row.count(5)?,
                changed_by: row.life(6)?,
                reason: row.get(7)?,
            })
        });
        record.transpose()
    }
}
