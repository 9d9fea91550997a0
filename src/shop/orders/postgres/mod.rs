//! Orders, their sagas, keys and events in a PostgreSQL database. Every statement about them is in this
//! folder: what writes is a function of the database (`schema.sql`), and one method of the repository is one
//! transaction.

mod checks;
mod claims;
mod decisions;
mod hosts;
mod lists;
mod moved;
mod reader;
mod row;

use std::sync::Arc;

use super::domain::{Order, OrderStatus, Rejection, UnfinishedCounts};
use super::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};
use super::repository::{
    BudgetUse, OrderHistory, Ownership, PlaceCommand, Placement, RecordOutcome, StoredReason, SweepCommand,
    SweepRound, UnknownAttempt,
};
use crate::observe::RequestContext;
use crate::postgres::{Call, PostgresFailure, PostgresSchema, PostgresStore};
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::{
    ClaimToken, EventsAfter, KnownStream, OrderId, OrdersMark, StorageError, StreamId, SweepWindow,
};
use crate::shop::postgres::{Columns, event_streams, fences, json, order_ids, row_count};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Admission;

pub(in crate::shop) use moved::MOVED;
pub(in crate::shop) use reader::PostgresOrdersReader;
use row::{order_columns, status_number};

/// The tables and functions of the orders.
pub(in crate::shop) const POSTGRES_SCHEMA: PostgresSchema = PostgresSchema {
    name: "orders",
    migrations: &[
        concat!(
            include_str!("../../postgres/outbox.sql"),
            include_str!("schema.sql")
        ),
        concat!(
            include_str!("../../../postgres/hosts.sql"),
            include_str!("hosts.sql")
        ),
    ],
    oldest_compatible: 1,
};

/// Orders that are removed in one transaction at most, so that no order waits long for it.
const SWEPT_AT_ONCE: i64 = 200;
/// Old events that are removed with them.
const EVENTS_AT_ONCE: i64 = 500;
/// So many of the oldest keys are looked at in one transaction.
const KEYS_AT_ONCE: i64 = 256;
/// Orders that a window of the participants keeps at most.
const MOST_KEPT: usize = 5_000;

/// Orders as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresOrders {
    store: PostgresStore,
    clock: Arc<SteadyClock>,
}

/// An order's rows by the statement that selects them.
macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            $crate::shop::orders::postgres::row::order_columns!(),
            " FROM orders ",
            $rest
        )
    };
}
use select_orders;

impl PostgresOrders {
    /// Over a database that was opened with [`POSTGRES_SCHEMA`].
    pub(in crate::shop) fn new(store: PostgresStore, clock: Arc<SteadyClock>) -> PostgresOrders {
        PostgresOrders { store, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms().cast_signed()
    }

    pub(super) async fn place(&self, command: PlaceCommand) -> Result<Placement, StorageError> {
        let PlaceCommand {
            owner,
            order,
            wanted,
            key,
        } = command;
        let horizon = key.as_ref().map(|(_, retention)| retention.horizon());
        let (text, hash) = key
            .map(|(key, _)| (key.text.to_string(), key.hash.to_vec()))
            .unzip();
        let request = order.request.as_ref();
        let call = |sql: &'static str| {
            Call::new(sql)
                .bind(wanted.key())
                .bind(owner.to_string())
                .bind(String::from(order.customer.clone()))
                .bind(row::items(&order.lines))
                .bind(order.total.amount.cast_signed())
                .bind(order.total.currency.as_str().to_owned())
                .bind(order.method.to_string())
                .bind(ORDER_VERSION.cast_signed())
                .bind(wanted.created_ms().cast_signed())
                .bind(request.map(|request| RequestContext::id(request).to_owned()))
                .bind(request.and_then(|request| RequestContext::traceparent(request).map(str::to_owned)))
                .bind(text.clone())
                .bind(hash.clone())
                .bind(horizon.map(OrderId::key))
                .bind(horizon.map(|horizon| horizon.created_ms().cast_signed()))
        };
        const PLACE: &str = "SELECT placed, known, is_same FROM place_1($1, $2, $3, $4, $5, $6, $7, $8, \
        $9, $10, \
                             $11, $12, $13, $14, $15)";
        const PLACED: &str = "SELECT placed, known, is_same FROM placed_1($1, $2, $3, $4, $5, $6, $7, $8, \
        $9, $10, \
                              $11, $12, $13, $14, $15)";
        let rows = match self
            .store
            .write(Admission::New, call(PLACE).found_by(PLACED))
            .await
        {
            Err(PostgresFailure::Fenced) => return Ok(Placement::Fenced),
            rows => rows?,
        };
        let row = Columns(rows.first().ok_or_else(no_row)?);
        if let Some(placed) = row.get::<Option<i64>>(0)? {
            return Ok(Placement::Placed(OrderId::from_key(placed)));
        }
        Ok(Placement::KeyTaken(match row.get::<Option<bool>>(2)? {
            Some(true) => KeyMatch::SameRequest(row.order(1)?),
            Some(false) | None => KeyMatch::OtherRequest,
        }))
    }

    pub(super) async fn find_key(
        &self,
        key: IdempotencyKey,
        retention: KeyRetention,
    ) -> Result<Option<KeyMatch>, StorageError> {
        let horizon = retention.horizon();
        let find = "SELECT order_id, body_hash = $2 FROM idempotency_keys
            WHERE key = $1 AND is_key_kept_1(order_id, $3, $4)";
        let find = Call::new(find)
            .bind(key.text.to_string())
            .bind(key.hash.to_vec())
            .bind(horizon.key())
            .bind(horizon.created_ms().cast_signed());
        let rows = self.store.look_up(find).await?;
        let found = rows.first().map(|row| {
            Ok::<_, StorageError>(match Columns(row).get(1)? {
                true => KeyMatch::SameRequest(Columns(row).order(0)?),
                false => KeyMatch::OtherRequest,
            })
        });
        found.transpose()
    }

    pub(super) async fn end(
        &self,
        token: ClaimToken,
        rejection: Option<Rejection>,
    ) -> Result<RecordOutcome, StorageError> {
        let status = match rejection {
            None => OrderStatus::Confirmed,
            Some(_) => OrderStatus::Rejected,
        };
        let reason = rejection.map(|rejection| json(&StoredReason::Rejected(rejection)));
        let call = Call::new("SELECT end_order_1($1, $2, $3, $4, $5)")
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(status_number(status))
            .bind(reason)
            .bind(self.now())
            .signals();
        self.record(call).await
    }

    pub(super) async fn park(&self, token: ClaimToken, why: String) -> Result<RecordOutcome, StorageError> {
        let call = Call::new("SELECT park_1($1, $2, $3, $4)")
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(json(&StoredReason::Parked(why)))
            .bind(self.now());
        self.record(call).await
    }

    async fn record(&self, call: Call) -> Result<RecordOutcome, StorageError> {
        let rows = match self.store.write(Admission::Continue, call).await {
            Err(PostgresFailure::Fenced) => return Ok(RecordOutcome::Fenced),
            rows => rows?,
        };
        let stands: i32 = Columns(rows.first().ok_or_else(no_row)?).get(0)?;
        Ok(match stands {
            0 => RecordOutcome::Stands,
            1 => RecordOutcome::Fenced,
            _ => RecordOutcome::Contradicted,
        })
    }

    pub(super) async fn record_attempt(&self, attempt: UnknownAttempt) -> Result<(), StorageError> {
        let now = self.clock.now_ms();
        let after = |wait: std::time::Duration| {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            now.saturating_add(wait).cast_signed()
        };
        let call = Call::new("SELECT attempt_1($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(attempt.token.order.key())
            .bind(attempt.token.claim_no.cast_signed())
            .bind(attempt.step)
            .bind(attempt.token.life.to_string())
            .bind(now.cast_signed())
            .bind(after(attempt.wait))
            .bind(after(attempt.budget_left))
            .bind(attempt.reason);
        self.store.write(Admission::New, call).await?;
        Ok(())
    }

    pub(super) async fn record_budget_use(&self, budget_use: BudgetUse) -> Result<(), StorageError> {
        let call = Call::new("SELECT budget_1($1, $2, $3, $4)")
            .bind(budget_use.token.order.key())
            .bind(budget_use.token.claim_no.cast_signed())
            .bind(budget_use.command.name())
            .bind(i64::try_from(budget_use.used.as_millis()).unwrap_or(i64::MAX));
        self.store.write(Admission::Continue, call).await?;
        Ok(())
    }

    pub(super) async fn ownership(&self, token: ClaimToken) -> Result<Ownership, StorageError> {
        let owner = "SELECT EXISTS (SELECT 1 FROM orders WHERE id = $1 AND claim_no = $2 AND owner = $3
            AND status < 20)";
        let owner = Call::new(owner)
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(token.life.to_string());
        Ok(Ownership {
            is_owner: self.look_up_one(owner).await?,
            is_fenced: fences::is_fenced(&self.store, token.life).await?,
        })
    }

    pub(super) async fn sweep(&self, command: SweepCommand) -> Result<SweepRound, StorageError> {
        let key_horizon = command.keys.shared_horizon();
        let call = Call::new("SELECT removed, kept FROM sweep_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(command.horizon.key())
            .bind(command.ended_before_ms.cast_signed())
            .bind(command.events_before_ms.cast_signed())
            .bind(key_horizon.key())
            .bind(key_horizon.created_ms().cast_signed())
            .bind(KEYS_AT_ONCE)
            .bind(SWEPT_AT_ONCE)
            .bind(EVENTS_AT_ONCE)
            .bind(command.after.key())
            .bind(row_count(MOST_KEPT + 1));
        let rows = self.store.write(Admission::Continue, call).await?;
        let row = Columns(rows.first().ok_or_else(no_row)?);
        let kept: Vec<i64> = row.get(1)?;
        let mut kept: Vec<OrderId> = kept.into_iter().map(OrderId::from_key).collect();
        let before = kept.get(MOST_KEPT).copied().unwrap_or(command.horizon);
        kept.truncate(MOST_KEPT);
        let next_after = match kept.last() {
            Some(last) if kept.len() == MOST_KEPT => *last,
            Some(_) | None => OrderId::from_key(-1),
        };
        Ok(SweepRound {
            removed: usize::try_from(row.count(0)?).unwrap_or(usize::MAX),
            window: SweepWindow {
                after: command.after,
                before,
                kept: kept.into(),
            },
            next_after,
        })
    }

    pub(super) async fn is_anything_older(
        &self,
        horizon: OrderId,
        events_before_ms: u64,
        keys: KeyRetention,
    ) -> Result<bool, StorageError> {
        let older = "SELECT EXISTS (SELECT 1 FROM orders WHERE id < $1)
            OR EXISTS (SELECT 1 FROM idempotency_keys WHERE order_id < $2)";
        let older = Call::new(older).bind(horizon.key()).bind(keys.horizon().key());
        Ok(self.look_up_one(older).await?
            || event_streams::is_any_older(&self.store, events_before_ms).await?)
    }

    pub(super) async fn unfinished_counts(&self) -> Result<UnfinishedCounts, StorageError> {
        let counts = "SELECT count(*) FILTER (WHERE status = 10), count(*) FILTER (WHERE status = 11)
            FROM orders WHERE status < 20";
        let rows = self.store.look_up(Call::new(counts)).await?;
        let row = Columns(rows.first().ok_or_else(no_row)?);
        Ok(UnfinishedCounts {
            pending: row.count(0)?,
            parked: row.count(1)?,
        })
    }

    pub(super) async fn outbox_events(&self) -> Result<u64, StorageError> {
        let rows = self.store.list(Call::new("SELECT count(*) FROM outbox")).await?;
        Columns(rows.first().ok_or_else(no_row)?).count(0)
    }

    pub(super) async fn unknown_versions(&self) -> Result<Vec<(u64, u32)>, StorageError> {
        let unknown = "SELECT count(*), version FROM orders WHERE status < 20 AND version > $1
            GROUP BY version ORDER BY version DESC";
        let rows = self
            .store
            .look_up(Call::new(unknown).bind(ORDER_VERSION.cast_signed()))
            .await?;
        rows.iter()
            .map(|row| Ok((Columns(row).count(0)?, Columns(row).small(1)?)))
            .collect()
    }

    pub(super) async fn order(&self, id: OrderId) -> Result<Option<Order>, StorageError> {
        let find = Call::new(select_orders!("WHERE id = $1")).bind(id.key());
        let rows = self.store.look_up(find).await?;
        rows.first().map(|row| row::order(Columns(row))).transpose()
    }

    pub(super) async fn history(&self, id: OrderId) -> Result<Option<OrderHistory>, StorageError> {
        let Some(order) = self.order(id).await? else {
            return Ok(None);
        };
        let takeovers = "SELECT claim_no, from_owner, to_owner, at_ms FROM takeovers WHERE order_id = $1
            ORDER BY claim_no";
        let rows = self.store.look_up(Call::new(takeovers).bind(id.key())).await?;
        let takeovers = rows.iter().map(|row| row::takeover(Columns(row), 0));
        Ok(Some(OrderHistory {
            order,
            takeovers: takeovers.collect::<Result<_, _>>()?,
        }))
    }

    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        event_streams::current(&self.store, known).await
    }

    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        event_streams::known(&self.store).await
    }

    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        event_streams::after(&self.store, (number, limit), row::EVENTS, row::event).await
    }

    pub(super) async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        let known = self.known_events().await?;
        Ok(known.map_or(OrdersMark::NONE, OrdersMark::from))
    }

    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|failure| failure.to_string())
    }

    async fn orders_of(&self, call: Call) -> Result<Vec<OrderId>, StorageError> {
        let rows = self.store.list(call).await?;
        order_ids(&rows)
    }

    async fn look_up_one(&self, call: Call) -> Result<bool, StorageError> {
        let rows = self.store.look_up(call).await?;
        Columns(rows.first().ok_or_else(no_row)?).get(0)
    }

    async fn write_one(&self, admission: Admission, call: Call) -> Result<i32, StorageError> {
        let rows = self.store.write(admission, call).await?;
        Columns(rows.first().ok_or_else(no_row)?).get(0)
    }
}

fn no_row() -> StorageError {
    StorageError::Failed("a statement that always answers a row has answered none".to_owned())
}
