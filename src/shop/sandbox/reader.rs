//! `sandbox.db` opened to be read only, for the audit, an order's report and operators.

use std::path::Path;

use super::{FILE, SCHEMA};
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::sqlite::read_only::ReadOnlyDatabase;

/// A charge that stands, as the audit reads it.
pub(in crate::shop) struct AuditedCharge<'a> {
    /// The order that the charge is for, as the provider was told.
    pub(in crate::shop) order: &'a str,
    /// The amount, in minor units.
    pub(in crate::shop) amount: i64,
    pub(in crate::shop) currency: &'a str,
    pub(in crate::shop) method: &'a str,
    /// The provider's name of the charge.
    pub(in crate::shop) receipt: &'a str,
}

/// An attempt that was made for an order.
pub(in crate::shop) struct LedgerAttempt {
    /// When, as the provider writes it (RFC 3339).
    pub(in crate::shop) at: String,
    /// `charge`, `cancel` or `refund`.
    pub(in crate::shop) kind: String,
    pub(in crate::shop) provider_key: String,
    pub(in crate::shop) outcome: String,
    /// Why the attempt did not succeed.
    pub(in crate::shop) code: Option<String>,
}

/// The ledger as it is stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct SqliteLedgerReader(ReadOnlyDatabase);

impl SqliteLedgerReader {
    /// Opens the ledger under `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<SqliteLedgerReader, StorageError> {
        ReadOnlyDatabase::open(data_dir, FILE, &SCHEMA).map(SqliteLedgerReader)
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects()
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages()
    }

    /// Shows every charge that stands to `visit`.
    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedCharge<'_>),
    ) -> Result<(), StorageError> {
        // The provider names a charge after its provider key.
        let mut charges = self.0.connection().prepare(
            "SELECT coalesce(order_id, ''), coalesce(amount, 0), coalesce(currency, ''), coalesce(method, ''),
                'ch_' || provider_key
             FROM standing_charge",
        )?;
        let mut rows = charges.query([])?;
        while let Some(row) = rows.next()? {
            let text = |column: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(column)?.as_str()?) };
            visit(AuditedCharge {
                order: text(0)?,
                amount: row.get(1)?,
                currency: text(2)?,
                method: text(3)?,
                receipt: text(4)?,
            });
        }
        Ok(())
    }

    /// How many charges stand for the order.
    pub(in crate::shop) async fn standing_charges(&self, order: OrderId) -> Result<u64, StorageError> {
        let count = "SELECT count(*) FROM standing_charge WHERE order_id = ?1";
        let standing: i64 = self
            .0
            .connection()
            .query_row(count, [order.to_string()], |row| row.get(0))?;
        Ok(standing.unsigned_abs())
    }

    /// Every attempt that was made for the order.
    pub(in crate::shop) async fn attempts(&self, order: OrderId) -> Result<Vec<LedgerAttempt>, StorageError> {
        let mut attempts = self.0.connection().prepare(
            "SELECT at, kind, provider_key, outcome, code FROM attempt
             WHERE order_id = ?1 OR provider_key IN (?1 || '.1', ?1 || '.1.refund')",
        )?;
        let attempts = attempts.query_map([order.to_string()], |row| {
            Ok(LedgerAttempt {
                at: row.get(0)?,
                kind: row.get(1)?,
                provider_key: row.get(2)?,
                outcome: row.get(3)?,
                code: row.get(4)?,
            })
        })?;
        Ok(attempts.collect::<rusqlite::Result<_>>()?)
    }
}
