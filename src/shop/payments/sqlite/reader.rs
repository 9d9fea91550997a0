//! `payments.db` opened to be read only, for the audit, an order's report and operators.

use std::path::Path;

use rusqlite::OptionalExtension;

use super::payments;
use super::schema::{FILE, SCHEMA, SUCCEEDED};
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::payments::records::{AuditedPayment, PaymentRecord};
use crate::shop::sqlite::read_only::{ReadOnlyDatabase, holds_any};

/// Payments as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct SqlitePaymentsReader(ReadOnlyDatabase);

impl SqlitePaymentsReader {
    /// Opens the payments under `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<SqlitePaymentsReader, StorageError> {
        ReadOnlyDatabase::open(data_dir, FILE, &SCHEMA).map(SqlitePaymentsReader)
    }

    /// Whether there is any payment under `data_dir`; `false` when that cannot be read.
    pub(in crate::shop) async fn holds_any(data_dir: &Path) -> bool {
        holds_any(&data_dir.join(FILE), "payments")
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects()
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages()
    }

    /// Shows every payment to `visit`.
    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedPayment<'_>),
    ) -> Result<(), StorageError> {
        let mut payments = self.0.connection().prepare(
            "SELECT order_id, amount, currency, method, state = ?1 AND refund IS NULL, receipt FROM payments",
        )?;
        let mut rows = payments.query([SUCCEEDED])?;
        while let Some(row) = rows.next()? {
            visit(AuditedPayment {
                order: OrderId::from_key(row.get(0)?),
                amount: row.get(1)?,
                currency: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
                method: row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?,
                stands: row.get(4)?,
                receipt: row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?,
            });
        }
        Ok(())
    }

    /// The payment of an order.
    pub(in crate::shop) async fn payment(
        &self,
        order: OrderId,
    ) -> Result<Option<PaymentRecord>, StorageError> {
        let mut statement = self.0.connection().prepare_cached(payments::RECORD)?;
        let record = statement.query_row([order.key()], payments::record_row);
        Ok(record.optional()?)
    }
}
