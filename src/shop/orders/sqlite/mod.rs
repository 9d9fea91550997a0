//! Orders, their sagas, keys and events in `orders.db`. Every statement about them is in this folder, and one
//! method of the repository is one transaction.

mod attempts;
mod budget_used;
mod claims;
mod decisions;
mod history;
mod idempotency_keys;
mod orders;
mod outbox;
mod reader;
mod retention;
mod row;
mod schema;
mod totals;

use std::path::Path;
use std::sync::Arc;

use super::decision::{DecisionOutcome, OperatorDecision};
use super::domain::{Order, Rejection, UnfinishedCounts};
use super::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};
use super::repository::{
    BudgetUse, ClaimCommand, ClaimOutcome, Claimable, OrderHistory, OrdersPage, Ownership, PlaceCommand,
    Placement, RecordOutcome, SweepCommand, SweepRound, UnknownAttempt,
};
use crate::base::ids::{Incarnation, Life};
use crate::saga::definition::ORDER_VERSION;
use crate::scoreboard::Board;
use crate::shop::contract::{
    ClaimToken, CustomerId, CustomerTotals, DatabaseUser, EventsAfter, Fence, KnownStream, LastUser, OrderId,
    OrderTotals, OrdersMark, StorageError, StreamId, TotalsAfter,
};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sqlite::event_streams;
use crate::shop::sqlite::fences;
use crate::shop::sqlite::lookups;
use crate::store::{Admission, Store, StoreOptions, Tx};

pub(in crate::shop) use reader::SqliteOrdersReader;
pub use schema::{FILE, OLDEST_COMPATIBLE, SCHEMA};

/// Orders as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteOrders {
    store: Store,
    /// Dates every row but a new order, inside the transaction that writes it.
    clock: Arc<SteadyClock>,
}

impl SqliteOrders {
    /// Over a store that was opened with [`SCHEMA`].
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> SqliteOrders {
        SqliteOrders { store, clock }
    }

    /// Opens the orders under `data_dir` to write an operator's decisions, beside a running cluster or
    /// without one. Refuses a database of another schema version, because it must not be migrated while
    /// workers of an older program use it.
    pub(in crate::shop) async fn open_for_decisions(data_dir: &Path) -> Result<SqliteOrders, StorageError> {
        drop(SqliteOrdersReader::open(data_dir).await?);
        let signal = crate::shop::event_signal::signal(data_dir);
        let cell = Board::private().cell("decision");
        let cell = cell.ok_or_else(|| StorageError::Failed("a new board has no cell".to_owned()))?;
        let signal = signal.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let options = StoreOptions {
            on_signal: Arc::new(move || signal.send()),
            ..StoreOptions::new(data_dir.join(FILE), cell)
        };
        let store = Store::open(&SCHEMA, options);
        let store = store.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        Ok(SqliteOrders::new(store, Arc::new(SteadyClock::open(data_dir))))
    }

    /// Records an operator's decision and carries it out.
    pub(in crate::shop) async fn decide(
        &self,
        decision: OperatorDecision,
    ) -> Result<DecisionOutcome, StorageError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| decisions::decide(tx, &decision, clock.now_ms());
        Ok(self.store.write(Admission::New, job).await?)
    }

    /// Writes an order, its saga and its key.
    pub(super) async fn place(&self, command: PlaceCommand) -> Result<Placement, StorageError> {
        let job = move |tx: &Tx<'_>| orders::place(tx, &command);
        Ok(self.store.write(Admission::New, job).await?)
    }

    /// What the key stands for, unless it stands for nothing or has expired.
    pub(super) async fn find_key(
        &self,
        key: IdempotencyKey,
        retention: KeyRetention,
    ) -> Result<Option<KeyMatch>, StorageError> {
        Ok(self
            .store
            .peek(|connection| idempotency_keys::find(connection, &key, &retention))?)
    }

    /// Ends the order, confirmed or rejected, and writes its event.
    pub(super) async fn end(
        &self,
        token: ClaimToken,
        rejection: Option<Rejection>,
    ) -> Result<RecordOutcome, StorageError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| orders::end(tx, token, rejection.as_ref(), clock.now_ms());
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Parks the order.
    pub(super) async fn park(&self, token: ClaimToken, why: String) -> Result<RecordOutcome, StorageError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| orders::park(tx, token, &why, clock.now_ms());
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Records an attempt whose outcome was unknown. Refused when the store is busy.
    pub(super) async fn record_attempt(&self, attempt: UnknownAttempt) -> Result<(), StorageError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| attempts::record(tx, &attempt, clock.now_ms());
        Ok(self.store.write(Admission::New, job).await?)
    }

    /// Records how much of a budget was used.
    pub(super) async fn record_budget_use(&self, budget_use: BudgetUse) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| budget_used::record(tx, &budget_use);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Whether the token's life is fenced off, and whether it still owns the saga.
    pub(super) async fn ownership(&self, token: ClaimToken) -> Result<Ownership, StorageError> {
        Ok(self
            .store
            .peek(|connection| orders::ownership(connection, token))?)
    }

    /// The other owners of unfinished sagas; none when `own` is fenced off, because then it may claim
    /// nothing.
    pub(super) async fn owners_beside(&self, own: Life) -> Result<Vec<Life>, StorageError> {
        Ok(self
            .store
            .peek(|connection| claims::owners_beside(connection, own))?)
    }

    /// Whether a saga is under way that this life runs or may have to take over.
    pub(super) async fn any_under_way(&self, own: Life) -> Result<bool, StorageError> {
        Ok(self
            .store
            .peek(|connection| claims::any_under_way(connection, own))?)
    }

    /// Whether those lives own sagas that `new_owner` would have to claim.
    pub(super) async fn claimable(&self, of: Fence, new_owner: Life) -> Result<Claimable, StorageError> {
        Ok(self
            .store
            .peek(|connection| claims::claimable(connection, of, new_owner))?)
    }

    /// Fences lives off and claims some of their unfinished sagas.
    pub(super) async fn claim(&self, command: ClaimCommand) -> Result<ClaimOutcome, StorageError> {
        let clock = Arc::clone(&self.clock);
        let job = move |tx: &Tx<'_>| claims::claim(tx, command, clock.now_ms());
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Removes some expired keys, some old events and some orders that ended long ago.
    pub(super) async fn sweep(&self, command: SweepCommand) -> Result<SweepRound, StorageError> {
        let job = move |tx: &Tx<'_>| retention::sweep(tx, &command);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// Whether there is an order before the horizon, an event from before that time, or a key that may have
    /// expired.
    pub(super) async fn is_anything_older(
        &self,
        horizon: OrderId,
        events_before_ms: u64,
        keys: KeyRetention,
    ) -> Result<bool, StorageError> {
        Ok(self.store.peek(|connection| {
            Ok(retention::is_any_older(connection, horizon)?
                || event_streams::is_any_older(connection, events_before_ms)?
                || idempotency_keys::is_any_older(connection, &keys)?)
        })?)
    }

    /// How many orders are pending, and how many are parked.
    pub(super) async fn unfinished_counts(&self) -> Result<UnfinishedCounts, StorageError> {
        Ok(self.store.peek(orders::unfinished_counts)?)
    }

    /// How many events are in the outbox.
    pub(super) async fn outbox_events(&self) -> Result<u64, StorageError> {
        Ok(self.store.peek(event_streams::count)?)
    }

    /// How many unfinished sagas are of newer definitions than this program knows, and of which version.
    pub(super) async fn unknown_versions(&self) -> Result<Vec<(u64, u32)>, StorageError> {
        Ok(self
            .store
            .peek(|connection| retention::unknown_versions(connection, ORDER_VERSION))?)
    }

    /// One order.
    pub(super) async fn order(&self, id: OrderId) -> Result<Option<Order>, StorageError> {
        Ok(self.store.peek(|connection| orders::find(connection, id))?)
    }

    /// A page of orders, the latest first.
    pub(super) async fn orders(&self, page: OrdersPage) -> Result<Vec<Order>, StorageError> {
        let list = self.store.read(move |connection| orders::list(connection, &page));
        Ok(list.await?)
    }

    /// One order with the claims of its saga.
    pub(super) async fn history(&self, id: OrderId) -> Result<Option<OrderHistory>, StorageError> {
        Ok(self.store.peek(|connection| history::read(connection, id))?)
    }

    /// The highest incarnation that a fence or the owner of an unfinished saga knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        Ok(self.store.peek(claims::newest_incarnation)?)
    }

    /// The newest master whose workers noted that they use the orders.
    pub(in crate::shop) async fn last_user(&self) -> Result<Option<LastUser>, StorageError> {
        let user = self.store.peek(fences::last_user)?;
        Ok(user.map(|user| LastUser {
            user,
            host: String::new(),
            renewed_ago: None,
        }))
    }

    /// Notes that the workers of this master use the orders.
    pub(in crate::shop) async fn note_user(&self, user: DatabaseUser) -> Result<(), StorageError> {
        let job = move |tx: &Tx<'_>| fences::note_user(tx, user);
        Ok(self.store.write(Admission::Continue, job).await?)
    }

    /// The confirmed orders among the newest ones, except for those that an operator decided about.
    pub(in crate::shop) async fn newest_confirmed(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        Ok(self
            .store
            .peek(|connection| orders::newest_confirmed(connection, limit))?)
    }

    /// Those of the orders that do not exist.
    pub(in crate::shop) async fn unknown(&self, orders: Vec<OrderId>) -> Result<Vec<OrderId>, StorageError> {
        let known = "SELECT 1 FROM orders WHERE id = ?1";
        Ok(self
            .store
            .peek(|connection| lookups::missing(connection, known, orders))?)
    }

    /// Ended orders before this one are removed.
    pub(in crate::shop) async fn horizon(&self) -> Result<OrderId, StorageError> {
        Ok(self.store.peek(retention::horizon)?)
    }

    /// The line of numbers that the events have; a new one if the file is not what it was.
    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        event_streams::current(&self.store, known).await
    }

    /// The line of the events and its newest number.
    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        Ok(self.store.peek(event_streams::known)?)
    }

    /// The events behind that number.
    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        let read = self
            .store
            .read(move |connection| outbox::after(connection, number, limit));
        Ok(read.await?)
    }

    /// Whether new work may be begun, or why not.
    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        Ok(self.store.accepts_new_work().await?)
    }

    /// Whether the store commits, found out by a commit.
    pub(super) async fn probe(&self) -> Result<(), String> {
        self.store.probe().await.map_err(|stall| stall.to_string())
    }
}

impl OrderTotals for SqliteOrders {
    async fn totals_after(&self, number: u64, limit: usize) -> Result<TotalsAfter, StorageError> {
        let read = self
            .store
            .read(move |connection| totals::after(connection, number, limit));
        Ok(read.await?)
    }

    async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        let known = self.store.peek(event_streams::known)?;
        Ok(known.map_or(OrdersMark::NONE, OrdersMark::from))
    }

    async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        let read = self
            .store
            .read(move |connection| totals::as_of(connection, number, after.as_ref(), limit));
        Ok(read.await?)
    }
}
