//! Who owns unfinished sagas, and new owners.

use std::time::Duration;

use super::{PostgresOrders, row};
use crate::base::ids::Life;
use crate::postgres::{Call, PostgresFailure};
use crate::saga::definition::ORDER_VERSION;
use crate::saga::{BudgetUsed, SagaCommand};
use crate::shop::contract::{Fence, StorageError};
use crate::shop::orders::repository::{
    ClaimCommand, ClaimOutcome, Claimable, ClaimedBatch, ClaimedOrder, MOST_CLAIMS, StoredReason,
};
use crate::shop::postgres::{Columns, fences, json, row_count};
use crate::store::Admission;

impl PostgresOrders {
    pub(in crate::shop::orders) async fn owners_beside(&self, own: Life) -> Result<Vec<Life>, StorageError> {
        if fences::is_fenced(&self.store, own).await? {
            return Ok(Vec::new());
        }
        let mut owners = self
            .owners("SELECT DISTINCT owner FROM orders WHERE status < 20")
            .await?;
        owners.retain(|owner| *owner != own);
        Ok(owners)
    }

    pub(in crate::shop::orders) async fn any_under_way(&self, own: Life) -> Result<bool, StorageError> {
        if fences::is_fenced(&self.store, own).await? {
            return Ok(false);
        }
        let owners = self
            .owners("SELECT DISTINCT owner FROM orders WHERE status = 10")
            .await?;
        Ok(owners
            .iter()
            .any(|owner| owner.host == own.host && owner.incarnation <= own.incarnation))
    }

    /// The owners of unfinished sagas. An owner that cannot be read is left out.
    async fn owners(&self, sql: &'static str) -> Result<Vec<Life>, StorageError> {
        let rows = self.store.look_up(Call::new(sql)).await?;
        Ok(rows.iter().filter_map(|row| Columns(row).life(0).ok()).collect())
    }

    pub(in crate::shop::orders) async fn claimable(
        &self,
        of: Fence,
        new_owner: Life,
    ) -> Result<Claimable, StorageError> {
        let any = Call::new("SELECT EXISTS (SELECT 1 FROM claimable_2($1, $2, $3, $4, $5))");
        let any = fences::bind(any, of).bind(new_owner.to_string());
        if !self.look_up_one(any).await? {
            return Ok(Claimable::Nothing);
        }
        Ok(match fences::is_fenced(&self.store, new_owner).await? {
            true => Claimable::ButFenced,
            false => Claimable::Something,
        })
    }

    pub(in crate::shop::orders) async fn claim(
        &self,
        command: ClaimCommand,
    ) -> Result<ClaimOutcome, StorageError> {
        let why = format!("it was claimed {MOST_CLAIMS} times, and each owner died before it ended");
        const CLAIM: &str = concat!(
            "SELECT ",
            super::order_columns!(),
            ", is_parked, used FROM (SELECT (c.claimed).*, c.is_parked, c.used
             FROM claim_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS c) AS claimed"
        );
        let claim = fences::bind(Call::new(CLAIM), command.of)
            .bind(command.new_owner.to_string())
            .bind(row_count(command.at_most))
            .bind(ORDER_VERSION.cast_signed())
            .bind(MOST_CLAIMS.cast_signed())
            .bind(json(&StoredReason::Parked(why)))
            .bind(self.now())
            // What was claimed is this life's then, and nobody runs it: another life must claim it.
            .not_repeated();
        let rows = match self.store.write(Admission::Continue, claim).await {
            Err(PostgresFailure::Fenced) => return Ok(ClaimOutcome::Fenced),
            rows => rows?,
        };
        let mut batch = ClaimedBatch::default();
        for row in &rows {
            let order = row::order(Columns(row))?;
            match Columns(row).get(14)? {
                true => batch.parked.push(order.id),
                false => batch.orders.push(ClaimedOrder {
                    order,
                    budget_used: budget_used(Columns(row), 15)?,
                }),
            }
        }
        Ok(ClaimOutcome::Claimed(batch))
    }
}

fn budget_used(row: Columns<'_>, column: usize) -> Result<BudgetUsed, StorageError> {
    let used: Option<Vec<(String, u64)>> = row.json_if_any(column)?;
    let known = used
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(step, ms)| Some((SagaCommand::from_name(&step)?, Duration::from_millis(ms))));
    Ok(known.collect())
}
