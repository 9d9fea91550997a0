//! The ledger in a PostgreSQL database.

mod moved;
mod reader;

use super::ledger::{
    LedgerEntry, already_refunded, answer_cancel, answer_charge, charge_not_found, key_reused, receipt,
};
use crate::postgres::{Call, PostgresFailure, PostgresSchema, PostgresStore};
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, RefundOutcome, RefundRequest,
};
use crate::shop::postgres::Columns;
use crate::store::Admission;

pub(in crate::shop) use moved::MOVED;
pub(in crate::shop) use reader::PostgresLedgerReader;

/// The tables and functions of the ledger.
pub(in crate::shop) const POSTGRES_SCHEMA: PostgresSchema = PostgresSchema {
    name: "sandbox",
    migrations: &[
        include_str!("schema.sql"),
        include_str!("../../../postgres/hosts.sql"),
    ],
    oldest_compatible: 1,
};

const ADD: &str = "SELECT added, kind, outcome, code, order_id, amount, currency, method, refund_of
    FROM (SELECT a.added, (a.entry).* FROM add_1($1, $2, $3, $4, $5, $6, $7, $8, $9) AS a) AS added";

/// The ledger as it is stored. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::shop) struct PostgresLedger {
    store: PostgresStore,
}

impl PostgresLedger {
    /// Over a database that was opened with [`POSTGRES_SCHEMA`].
    pub(in crate::shop) fn new(store: PostgresStore) -> PostgresLedger {
        PostgresLedger { store }
    }

    pub(super) async fn charge(
        &self,
        request: ChargeRequest,
        at: String,
    ) -> Result<ChargeOutcome, PostgresFailure> {
        let wanted = LedgerEntry::of_charge(&request);
        let (added, known) = self.add(&wanted, &request.provider_key, at).await?;
        Ok(match added {
            true => answer_charge(&wanted, None, &request.provider_key),
            false => answer_charge(&wanted, known.as_ref(), &request.provider_key),
        })
    }

    pub(super) async fn cancel(&self, key: String, at: String) -> Result<CancelOutcome, PostgresFailure> {
        let (added, known) = self.add(&LedgerEntry::of_cancel(), &key, at).await?;
        Ok(match added {
            true => CancelOutcome::Done,
            false => answer_cancel(known.as_ref(), &key),
        })
    }

    pub(super) async fn refund(
        &self,
        request: RefundRequest,
        at: String,
    ) -> Result<RefundOutcome, PostgresFailure> {
        let refund = Call::new("SELECT refund_1($1, $2, $3)")
            .bind(request.refund_key.clone())
            .bind(request.provider_key)
            .bind(at);
        let rows = self.store.write(Admission::Continue, refund).await?;
        let done: i32 = rows.first().ok_or_else(no_row)?.try_get(0)?;
        Ok(match done {
            0 => RefundOutcome::Done(receipt("re", &request.refund_key)),
            1 => RefundOutcome::Refused(charge_not_found()),
            2 => RefundOutcome::Refused(key_reused()),
            _ => RefundOutcome::Refused(already_refunded()),
        })
    }

    /// Adds an entry, unless the key is taken: whether it was added, and what is under the key.
    async fn add(
        &self,
        entry: &LedgerEntry,
        key: &str,
        at: String,
    ) -> Result<(bool, Option<LedgerEntry>), PostgresFailure> {
        let add = Call::new(ADD)
            .bind(key.to_owned())
            .bind(entry.kind.clone())
            .bind(entry.outcome.clone())
            .bind(entry.code.clone())
            .bind(entry.order_id.clone())
            .bind(entry.amount)
            .bind(entry.currency.clone())
            .bind(entry.method.clone())
            .bind(at);
        let rows = self.store.write(Admission::Continue, add).await?;
        let row = rows.first().ok_or_else(no_row)?;
        let known = LedgerEntry {
            kind: row.try_get(1)?,
            outcome: row.try_get(2)?,
            code: row.try_get(3)?,
            order_id: row.try_get(4)?,
            amount: row.try_get(5)?,
            currency: row.try_get(6)?,
            method: row.try_get(7)?,
            refund_of: row.try_get(8)?,
        };
        Ok((row.try_get(0)?, Some(known)))
    }

    pub(super) async fn first_uncharged(
        &self,
        receipts: Vec<(OrderId, String)>,
    ) -> Result<Option<OrderId>, StorageError> {
        let charged = "SELECT asked FROM unnest($1) AS asked WHERE EXISTS (SELECT 1 FROM attempt
            WHERE 'ch_' || provider_key = asked AND provider_key = substr(asked, 4) AND kind = 'charge'
            AND outcome = 'succeeded')";
        let asked: Vec<String> = receipts.iter().map(|(_, receipt)| receipt.clone()).collect();
        let rows = self.store.list(Call::new(charged).bind(asked)).await?;
        let charged: std::collections::HashSet<String> = rows
            .iter()
            .map(|row| Columns(row).get(0))
            .collect::<Result<_, _>>()?;
        let uncharged = receipts
            .into_iter()
            .find(|(_, receipt)| !charged.contains(receipt));
        Ok(uncharged.map(|(order, _)| order))
    }

    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|failure| failure.to_string())
    }
}

fn no_row() -> PostgresFailure {
    PostgresFailure::Failed("the ledger has not answered".to_owned())
}
