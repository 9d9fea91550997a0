//! The payments of a database to be read only, for the audit, an order's report and operators.

use super::row::{self, payment_columns};
use crate::postgres::Call;
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::engine::PostgresPlace;
use crate::shop::payments::records::{AuditedPayment, PaymentRecord};
use crate::shop::postgres::{Columns, DatabaseReader, each_row};

/// Payments that are read at once for the audit.
const AT_ONCE: i64 = 10_000;

/// Payments as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct PostgresPaymentsReader(DatabaseReader);

impl PostgresPaymentsReader {
    /// Of the database of that place, which is looked at once to see whether it can be read.
    pub(in crate::shop) async fn open(place: &PostgresPlace) -> Result<PostgresPaymentsReader, StorageError> {
        DatabaseReader::open(place, &super::POSTGRES_SCHEMA)
            .await
            .map(PostgresPaymentsReader)
    }

    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects().await
    }

    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages().await
    }

    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedPayment<'_>),
    ) -> Result<(), StorageError> {
        let snapshot = self.0.snapshot().await?;
        let page =
            "SELECT order_id, amount, currency, method, state = 10 AND refund IS NULL, receipt FROM payments
            WHERE order_id > $1 ORDER BY order_id LIMIT $2";
        each_row(&snapshot, page, (i64::MIN, AT_ONCE), |row| {
            let (currency, method): (String, String) = (row.get(2)?, row.get(3)?);
            let receipt: Option<String> = row.get(5)?;
            visit(AuditedPayment {
                order: row.order(0)?,
                amount: row.get(1)?,
                currency: &currency,
                method: &method,
                stands: row.get(4)?,
                receipt: receipt.as_deref(),
            });
            Ok(())
        })
        .await
    }

    pub(in crate::shop) async fn payment(
        &self,
        order: OrderId,
    ) -> Result<Option<PaymentRecord>, StorageError> {
        let of = concat!(
            "SELECT ",
            payment_columns!(),
            ", claim_no FROM payments WHERE order_id = $1"
        );
        let rows = self.0.rows(Call::new(of).bind(order.key())).await?;
        rows.first().map(|row| row::record(Columns(row))).transpose()
    }
}
