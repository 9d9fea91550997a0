//! Stock and reservations in a PostgreSQL database. Every statement about them is in this folder, and one
//! method of the repository is one transaction, but for edits: who edits has read the article, and writes if
//! it is still as it was read, again and again until it is.

mod edits;
mod moved;
mod reader;
mod row;

use std::sync::Arc;

use super::adjustments::Adjustment;
use super::articles::Article;
use super::reservation::ReservationState;
use crate::base::ids::Incarnation;
use crate::postgres::{Call, PostgresFailure, PostgresSchema, PostgresStore};
use crate::shop::contract::{
    ClaimToken, CommandOutcome, CommandRefusal, EventsAfter, Fence, KnownStream, OrderId, OrderLine,
    QuoteError, RequestedItem, Sku, StorageError, StreamId, SweepWindow, TimelineEntry,
};
use crate::shop::inventory::reservation::ReservationCommand;
use crate::shop::postgres::{Columns, event_streams, fences, json, order_ids, row_count};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Admission;

pub(in crate::shop) use moved::MOVED;
pub(in crate::shop) use reader::PostgresInventoryReader;
use row::article_columns;

/// The tables and functions of the inventory.
pub(in crate::shop) const POSTGRES_SCHEMA: PostgresSchema = PostgresSchema {
    name: "inventory",
    migrations: &[
        concat!(
            include_str!("../../postgres/outbox.sql"),
            include_str!("schema.sql")
        ),
        include_str!("../../../postgres/hosts.sql"),
    ],
    oldest_compatible: 1,
};

/// Rows that are removed in one transaction at most, so that no order waits long for it.
const FORGOTTEN_AT_ONCE: i64 = 400;

/// Stock and reservations as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresInventory {
    store: PostgresStore,
    clock: Arc<SteadyClock>,
}

impl PostgresInventory {
    /// Over a database that was opened with [`POSTGRES_SCHEMA`].
    pub(in crate::shop) fn new(store: PostgresStore, clock: Arc<SteadyClock>) -> PostgresInventory {
        PostgresInventory { store, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms().cast_signed()
    }

    pub(super) async fn is_stocked(&self) -> Result<bool, StorageError> {
        let stocked = Call::new("SELECT EXISTS (SELECT 1 FROM loaded WHERE what = 'catalog')");
        let rows = self.store.look_up(stocked).await?;
        rows.first().map_or(Ok(false), |row| Columns(row).get(0))
    }

    pub(super) async fn catalog_fingerprint(&self) -> Result<Option<String>, StorageError> {
        let print = "SELECT substr(what, 16) FROM loaded WHERE what LIKE 'catalog-sha256:%'";
        let rows = self.store.look_up(Call::new(print)).await?;
        rows.first().map(|row| Columns(row).get(0)).transpose()
    }

    pub(super) async fn article(&self, sku: Sku) -> Result<Option<Article>, StorageError> {
        let find = concat!("SELECT ", article_columns!(), " FROM stock WHERE sku = $1");
        let rows = self
            .store
            .look_up(Call::new(find).bind(String::from(sku)))
            .await?;
        rows.first().map(|row| row::article(Columns(row))).transpose()
    }

    pub(super) async fn articles(&self, after: String, limit: usize) -> Result<Vec<Article>, StorageError> {
        let list = concat!(
            "SELECT ",
            article_columns!(),
            " FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2"
        );
        let rows = self
            .store
            .list(Call::new(list).bind(after).bind(row_count(limit)))
            .await?;
        rows.iter().map(|row| row::article(Columns(row))).collect()
    }

    pub(super) async fn adjustments(
        &self,
        sku: Sku,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Adjustment>, StorageError> {
        let list = "SELECT number, sku, delta, reason, on_hand, at_ms FROM adjustments
            WHERE sku = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
        let list = Call::new(list)
            .bind(String::from(sku))
            .bind(before)
            .bind(row_count(limit));
        let rows = self.store.list(list).await?;
        rows.iter().map(|row| row::adjustment(Columns(row))).collect()
    }

    pub(super) async fn quote(&self, items: Vec<RequestedItem>) -> Result<Vec<OrderLine>, QuoteError> {
        let quoted = self.prices(items).await;
        quoted.map_err(QuoteError::Unavailable)?
    }

    async fn prices(
        &self,
        items: Vec<RequestedItem>,
    ) -> Result<Result<Vec<OrderLine>, QuoteError>, StorageError> {
        let skus: Vec<String> = items.iter().map(|item| item.sku.as_str().to_owned()).collect();
        let prices = "SELECT sku, amount, currency, on_sale FROM stock WHERE sku = ANY ($1)";
        let rows = self.store.look_up(Call::new(prices).bind(skus)).await?;
        let mut lines = Vec::with_capacity(items.len());
        for RequestedItem { sku, quantity } in items {
            let price = rows.iter().map(Columns).find(|row| {
                let found: Result<String, StorageError> = row.get(0);
                found.is_ok_and(|found| found == sku.as_str())
            });
            let Some(price) = price else {
                return Ok(Err(QuoteError::UnknownSku(sku)));
            };
            if !price.get::<bool>(3)? {
                return Ok(Err(QuoteError::NotOnSale(sku)));
            }
            lines.push(OrderLine {
                sku,
                quantity,
                unit_price: price.money(1)?,
            });
        }
        Ok(Ok(lines))
    }

    pub(super) async fn reserve(
        &self,
        token: ClaimToken,
        lines: Arc<[OrderLine]>,
    ) -> Result<CommandOutcome, StorageError> {
        let items: Vec<(&Sku, u32)> = lines.iter().map(|line| (&line.sku, line.quantity)).collect();
        let skus: Vec<String> = lines.iter().map(|line| line.sku.as_str().to_owned()).collect();
        let quantities: Vec<i64> = lines.iter().map(|line| i64::from(line.quantity)).collect();
        let mut reserve =
            Call::new("SELECT is_new, noted, state, reason FROM reserve_1($1, $2, $3, $4, $5, $6, $7)")
                .bind(token.order.key())
                .bind(token.claim_no.cast_signed())
                .bind(token.life.to_string())
                .bind(json(&items))
                .bind(skus)
                .bind(quantities)
                .bind(self.now());
        for line in &*lines {
            reserve = reserve.lock(format!("sku:{}", line.sku));
        }
        self.command(ReservationCommand::Reserve, reserve).await
    }

    pub(super) async fn release(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        let release = "SELECT is_new, noted, state, reason FROM release_1($1, $2, $3, $4)";
        let release = self.of_token(release, token).bind(self.now());
        self.command(ReservationCommand::Release, release).await
    }

    pub(super) async fn commit(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        let commit = "SELECT is_new, noted, state, reason FROM commit_1($1, $2, $3, $4)";
        let commit = self.of_token(commit, token).bind(self.now());
        self.command(ReservationCommand::Commit, commit).await
    }

    pub(super) async fn give_back(&self, token: ClaimToken) -> Result<CommandOutcome, StorageError> {
        let give_back = "SELECT is_new, noted, state, reason FROM give_back_1($1, $2, $3, $4, $5)";
        let give_back = self
            .of_token(give_back, token)
            .bind(json(&"it had left the shelf at {}"))
            .bind(self.now());
        self.command(ReservationCommand::Release, give_back).await
    }

    fn of_token(&self, sql: &'static str, token: ClaimToken) -> Call {
        Call::new(sql)
            .lock(format!("order:{}", token.order.key()))
            .bind(token.order.key())
            .bind(token.claim_no.cast_signed())
            .bind(token.life.to_string())
    }

    /// Carries out a command; what stands then, as its sender is answered.
    async fn command(&self, command: ReservationCommand, call: Call) -> Result<CommandOutcome, StorageError> {
        let rows = match self.store.write(Admission::Continue, call).await {
            Err(PostgresFailure::Fenced) => return Ok(CommandOutcome::Fenced),
            rows => rows?,
        };
        let Some(row) = rows.first().map(Columns) else {
            return Ok(CommandOutcome::Refused(CommandRefusal::Senseless(
                "nothing was reserved for this order".to_owned(),
            )));
        };
        if !row.get::<bool>(1)? {
            return Ok(CommandOutcome::Fenced);
        }
        let state = row::state(row, 2)?;
        // A reason of another command is none of a refusal.
        let reason: Option<String> = row.get(3)?;
        let reason = reason.and_then(|reason| serde_json::from_str(&reason).ok());
        let is_done = row.get::<bool>(0)? && state != ReservationState::Refused;
        Ok(match is_done {
            true => CommandOutcome::Done,
            false => command.answer(state, reason),
        })
    }

    pub(super) async fn fence(&self, fence: Fence) -> Result<(), StorageError> {
        fences::raise(&self.store, fence).await
    }

    pub(super) async fn forget(&self, window: SweepWindow) -> Result<(), StorageError> {
        let kept: Vec<i64> = window.kept.iter().map(|order| order.key()).collect();
        let forget = Call::new("SELECT forget_1($1, $2, $3, $4, $5)")
            .bind(window.after.key())
            .bind(window.before.key())
            .bind(kept)
            .bind(FORGOTTEN_AT_ONCE)
            .bind(window.before.created_ms().cast_signed());
        self.store.write(Admission::Continue, forget).await?;
        Ok(())
    }

    pub(super) async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, StorageError> {
        let of =
            "SELECT state, reserved_ms, reserved_by, changed_ms, coalesce(changed_by, reserved_by), reason
            FROM reservations WHERE order_id = $1";
        let rows = self.store.look_up(Call::new(of).bind(order.key())).await?;
        rows.first()
            .map_or_else(|| Ok(Vec::new()), |row| row::timeline(Columns(row)))
    }

    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        fences::newest_incarnation(&self.store).await
    }

    pub(in crate::shop) async fn newest_orders(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        let newest = "SELECT order_id FROM reservations ORDER BY order_id DESC LIMIT $1";
        let rows = self.store.list(Call::new(newest).bind(i64::from(limit))).await?;
        order_ids(&rows)
    }

    pub(in crate::shop) async fn not_committed(
        &self,
        orders: Vec<OrderId>,
    ) -> Result<Vec<OrderId>, StorageError> {
        let missing = "SELECT asked FROM unnest($1) AS asked WHERE NOT EXISTS (SELECT 1 FROM reservations
            WHERE order_id = asked AND state = 20)";
        let keys: Vec<i64> = orders.into_iter().map(OrderId::key).collect();
        let rows = self.store.list(Call::new(missing).bind(keys)).await?;
        order_ids(&rows)
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

    pub(super) async fn trim_events(&self, before_ms: u64) -> Result<(), StorageError> {
        event_streams::trim(&self.store, before_ms).await
    }

    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|failure| failure.to_string())
    }
}
