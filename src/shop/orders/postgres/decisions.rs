//! What an operator decided about parked orders.

use std::path::Path;
use std::sync::Arc;

use super::row::status_number;
use super::{POSTGRES_SCHEMA, PostgresOrders};
use crate::postgres::{Call, PostgresOptions, PostgresStore, WriterIdentity};
use crate::shop::contract::{HANDED_BACK, StorageError};
use crate::shop::engine::PostgresPlace;
use crate::shop::orders::decision::{DecidedAct, DecisionOutcome, OperatorDecision};
use crate::shop::orders::domain::{OrderStatus, Rejection};
use crate::shop::orders::repository::StoredReason;
use crate::shop::postgres::json;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Admission;

impl PostgresOrders {
    /// Opens the orders of `data_dir` to write an operator's decisions.
    pub(in crate::shop) async fn open_for_decisions(
        data_dir: &Path,
        place: &PostgresPlace,
    ) -> Result<PostgresOrders, StorageError> {
        let signal = crate::shop::event_signal::signal(data_dir);
        let signal = signal.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let options = PostgresOptions {
            on_signal: Arc::new(move || signal.send()),
            ..PostgresOptions::new()
        };
        let (target, cluster) = (place.target(POSTGRES_SCHEMA.name)?, place.cluster_id());
        let store = PostgresStore::open(
            target,
            &POSTGRES_SCHEMA,
            &cluster,
            WriterIdentity::Operator,
            options,
        )
        .await?;
        Ok(PostgresOrders::new(store, Arc::new(SteadyClock::open(data_dir))))
    }

    pub(in crate::shop::orders) async fn decide(
        &self,
        decision: OperatorDecision,
    ) -> Result<DecisionOutcome, StorageError> {
        let (claim, status, rejection) = match decision.act {
            DecidedAct::Retry | DecidedAct::Compensate => (None, None, None),
            DecidedAct::Confirm { claim_no } => (Some(claim_no), Some(OrderStatus::Confirmed), None),
            DecidedAct::Reject { claim_no } => {
                let reason = decision.reason.clone();
                let rejection = Rejection::TakenBack { reason };
                (Some(claim_no), Some(OrderStatus::Rejected), Some(rejection))
            }
        };
        let given_up = (decision.act == DecidedAct::Compensate).then(|| decision.reason.clone());
        let reason = rejection.map(|rejection| json(&StoredReason::Rejected(rejection)));
        let call = Call::new("SELECT decide_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(decision.order.key())
            .bind(decision.act.name())
            .bind(decision.who)
            .bind(decision.reason)
            .bind(claim.map(u32::cast_signed))
            .bind(status.map(status_number))
            .bind(reason)
            .bind(HANDED_BACK.to_string())
            .bind(given_up)
            .bind(self.now())
            .not_repeated()
            .signals();
        let decided: i32 = self.write_one(Admission::New, call).await?;
        Ok(match decided {
            0 => DecisionOutcome::Recorded,
            1 => DecisionOutcome::NotParked,
            2 => DecisionOutcome::ClaimedMeanwhile,
            _ => DecisionOutcome::NoSuchOrder,
        })
    }
}
