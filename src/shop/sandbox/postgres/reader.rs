//! The ledger of a database to be read only, for the audit, an order's report and operators.

use crate::postgres::Call;
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::engine::PostgresPlace;
use crate::shop::postgres::{Columns, DatabaseReader, each_row};
use crate::shop::sandbox::reader::{AuditedCharge, LedgerAttempt};

/// Charges that are read at once for the audit.
const AT_ONCE: i64 = 10_000;

/// The ledger as it is stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct PostgresLedgerReader(DatabaseReader);

impl PostgresLedgerReader {
    /// Of the database of that place, which is looked at once to see whether it can be read.
    pub(in crate::shop) async fn open(place: &PostgresPlace) -> Result<PostgresLedgerReader, StorageError> {
        DatabaseReader::open(place, &super::POSTGRES_SCHEMA)
            .await
            .map(PostgresLedgerReader)
    }

    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects().await
    }

    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages().await
    }

    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedCharge<'_>),
    ) -> Result<(), StorageError> {
        let snapshot = self.0.snapshot().await?;
        let page = "SELECT provider_key, coalesce(order_id, ''), coalesce(amount, 0), coalesce(currency, ''),
                coalesce(method, '') FROM standing_charge WHERE provider_key > $1 ORDER BY provider_key
                    LIMIT $2";
        each_row(&snapshot, page, (String::new(), AT_ONCE), |row| {
            let text = |column| row.get::<String>(column);
            // The provider names a charge after its provider key.
            let receipt = format!("ch_{}", text(0)?);
            visit(AuditedCharge {
                order: &text(1)?,
                amount: row.get(2)?,
                currency: &text(3)?,
                method: &text(4)?,
                receipt: &receipt,
            });
            Ok(())
        })
        .await
    }

    pub(in crate::shop) async fn standing_charges(&self, order: OrderId) -> Result<u64, StorageError> {
        let count = "SELECT count(*) FROM standing_charge WHERE order_id = $1";
        let rows = self.0.rows(Call::new(count).bind(order.to_string())).await?;
        rows.first().map_or(Ok(0), |row| Columns(row).count(0))
    }

    pub(in crate::shop) async fn attempts(&self, order: OrderId) -> Result<Vec<LedgerAttempt>, StorageError> {
        let of = "SELECT at, kind, provider_key, outcome, code FROM attempt
            WHERE order_id = $1 OR provider_key IN ($1 || '.1', $1 || '.1.refund')";
        let rows = self.0.rows(Call::new(of).bind(order.to_string())).await?;
        let attempts = rows.iter().map(Columns).map(|row| {
            Ok(LedgerAttempt {
                at: row.get(0)?,
                kind: row.get(1)?,
                provider_key: row.get(2)?,
                outcome: row.get(3)?,
                code: row.get(4)?,
            })
        });
        attempts.collect()
    }
}
