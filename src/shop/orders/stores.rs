//! The repository of the service, whichever engine holds its database: one method is one transaction.

use std::path::Path;
use std::sync::Arc;

use super::decision::{DecisionOutcome, OperatorDecision};
use super::domain::{Order, Rejection, UnfinishedCounts};
use super::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};
#[cfg(feature = "postgres")]
use super::postgres::PostgresOrders;
use super::repository::{
    BudgetUse, ClaimCommand, ClaimOutcome, Claimable, OrderHistory, OrdersPage, Ownership, PlaceCommand,
    Placement, RecordOutcome, SweepCommand, SweepRound, UnknownAttempt,
};
use super::sqlite::SqliteOrders;
use crate::base::ids::{Incarnation, Life};
use crate::shop::by_engine::either;
use crate::shop::contract::{
    ClaimToken, CustomerId, CustomerTotals, DatabaseUser, EventsAfter, Fence, HeldEvent, KnownStream,
    LastUser, OrderId, OrderTotals, OrdersMark, StorageError, StreamId, TotalsAfter,
};
use crate::shop::engine::StoreEngine;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::Store;

/// Orders as they are stored. Cheap to clone.
#[derive(Clone, Debug)]
pub enum OrdersRepository {
    /// In a file of the data directory.
    #[doc(hidden)]
    Sqlite(SqliteOrders),
    /// In a database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    #[doc(hidden)]
    Postgres(PostgresOrders),
}

impl OrdersRepository {
    /// Over a store that was opened with the schema of the service.
    pub(in crate::shop) fn new(store: Store, clock: Arc<SteadyClock>) -> OrdersRepository {
        OrdersRepository::Sqlite(SqliteOrders::new(store, clock))
    }

    /// Opens the orders under `data_dir` to write an operator's decisions, beside a running cluster or
    /// without one.
    pub(in crate::shop) async fn open_for_decisions(
        data_dir: &Path,
    ) -> Result<OrdersRepository, StorageError> {
        match StoreEngine::of(data_dir)? {
            StoreEngine::Sqlite => Ok(OrdersRepository::Sqlite(
                SqliteOrders::open_for_decisions(data_dir).await?,
            )),
            #[cfg(feature = "postgres")]
            StoreEngine::Postgres(place) => {
                let orders = PostgresOrders::open_for_decisions(data_dir, &place).await?;
                Ok(OrdersRepository::Postgres(orders))
            }
            #[cfg(not(feature = "postgres"))]
            StoreEngine::Postgres(_) => Err(crate::shop::engine::without_postgres()),
        }
    }

    /// Whether other hosts may use it, too.
    pub(in crate::shop) fn is_shared(&self) -> bool {
        match self {
            OrdersRepository::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            OrdersRepository::Postgres(_) => true,
        }
    }

    /// Records an operator's decision and carries it out.
    pub(in crate::shop) async fn decide(
        &self,
        decision: OperatorDecision,
    ) -> Result<DecisionOutcome, StorageError> {
        either!(self, repository => repository.decide(decision).await)
    }

    /// Writes an order, its saga and its key.
    pub(super) async fn place(&self, command: PlaceCommand) -> Result<Placement, StorageError> {
        either!(self, repository => repository.place(command).await)
    }

    /// What the key stands for, unless it stands for nothing or has expired.
    pub(super) async fn find_key(
        &self,
        key: IdempotencyKey,
        retention: KeyRetention,
    ) -> Result<Option<KeyMatch>, StorageError> {
        either!(self, repository => repository.find_key(key, retention).await)
    }

    /// Ends the order, confirmed or rejected, and writes its event.
    pub(super) async fn end(
        &self,
        token: ClaimToken,
        rejection: Option<Rejection>,
    ) -> Result<RecordOutcome, StorageError> {
        either!(self, repository => repository.end(token, rejection).await)
    }

    /// Parks the order.
    pub(super) async fn park(&self, token: ClaimToken, why: String) -> Result<RecordOutcome, StorageError> {
        either!(self, repository => repository.park(token, why).await)
    }

    /// Records an attempt whose outcome was unknown. Refused when the store is busy.
    pub(super) async fn record_attempt(&self, attempt: UnknownAttempt) -> Result<(), StorageError> {
        either!(self, repository => repository.record_attempt(attempt).await)
    }

    /// Records how much of a budget was used.
    pub(super) async fn record_budget_use(&self, budget_use: BudgetUse) -> Result<(), StorageError> {
        either!(self, repository => repository.record_budget_use(budget_use).await)
    }

    /// Whether the token's life is fenced off, and whether it still owns the saga.
    pub(super) async fn ownership(&self, token: ClaimToken) -> Result<Ownership, StorageError> {
        either!(self, repository => repository.ownership(token).await)
    }

    /// The other owners of unfinished sagas; none when `own` is fenced off, because then it may claim
    /// nothing.
    pub(super) async fn owners_beside(&self, own: Life) -> Result<Vec<Life>, StorageError> {
        either!(self, repository => repository.owners_beside(own).await)
    }

    /// Whether a saga is under way that this life runs or may have to take over.
    pub(super) async fn any_under_way(&self, own: Life) -> Result<bool, StorageError> {
        either!(self, repository => repository.any_under_way(own).await)
    }

    /// Whether those lives own sagas that `new_owner` would have to claim.
    pub(super) async fn claimable(&self, of: Fence, new_owner: Life) -> Result<Claimable, StorageError> {
        either!(self, repository => repository.claimable(of, new_owner).await)
    }

    /// Fences lives off and claims some of their unfinished sagas.
    pub(super) async fn claim(&self, command: ClaimCommand) -> Result<ClaimOutcome, StorageError> {
        either!(self, repository => repository.claim(command).await)
    }

    /// Removes some expired keys, some old events and some orders that ended long ago.
    pub(super) async fn sweep(&self, command: SweepCommand) -> Result<SweepRound, StorageError> {
        either!(self, repository => repository.sweep(command).await)
    }

    /// Whether there is an order before the horizon, an event from before that time, or a key that may have
    /// expired.
    pub(super) async fn is_anything_older(
        &self,
        horizon: OrderId,
        events_before_ms: u64,
        keys: KeyRetention,
    ) -> Result<bool, StorageError> {
        either!(self, repository => repository.is_anything_older(horizon, events_before_ms, keys).await)
    }

    /// How many orders are pending, and how many are parked.
    pub(super) async fn unfinished_counts(&self) -> Result<UnfinishedCounts, StorageError> {
        either!(self, repository => repository.unfinished_counts().await)
    }

    /// How many events are in the outbox.
    pub(super) async fn outbox_events(&self) -> Result<u64, StorageError> {
        either!(self, repository => repository.outbox_events().await)
    }

    /// The oldest event that a transaction holds back which is open on the server, if there is one.
    pub(super) async fn oldest_held_event(&self) -> Result<Option<HeldEvent>, StorageError> {
        match self {
            OrdersRepository::Sqlite(_) => Ok(None),
            #[cfg(feature = "postgres")]
            OrdersRepository::Postgres(orders) => orders.oldest_held_event().await,
        }
    }

    /// How many unfinished sagas are of newer definitions than this program knows, and of which version.
    pub(super) async fn unknown_versions(&self) -> Result<Vec<(u64, u32)>, StorageError> {
        either!(self, repository => repository.unknown_versions().await)
    }

    /// One order.
    pub(super) async fn order(&self, id: OrderId) -> Result<Option<Order>, StorageError> {
        either!(self, repository => repository.order(id).await)
    }

    /// A page of orders, the latest first.
    pub(super) async fn orders(&self, page: OrdersPage) -> Result<Vec<Order>, StorageError> {
        either!(self, repository => repository.orders(page).await)
    }

    /// One order with the claims of its saga.
    pub(super) async fn history(&self, id: OrderId) -> Result<Option<OrderHistory>, StorageError> {
        either!(self, repository => repository.history(id).await)
    }

    /// The highest incarnation that a fence or the owner of an unfinished saga knows of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        either!(self, repository => repository.newest_incarnation().await)
    }

    /// The newest master whose workers noted that they use the orders.
    pub(in crate::shop) async fn last_user(&self) -> Result<Option<LastUser>, StorageError> {
        either!(self, repository => repository.last_user().await)
    }

    /// Notes that the workers of this master use the orders.
    pub(in crate::shop) async fn note_user(&self, user: DatabaseUser) -> Result<(), StorageError> {
        either!(self, repository => repository.note_user(user).await)
    }

    /// The confirmed orders among the newest ones, except for those that an operator decided about.
    pub(in crate::shop) async fn newest_confirmed(&self, limit: u32) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.newest_confirmed(limit).await)
    }

    /// Those of the orders that do not exist.
    pub(in crate::shop) async fn unknown(&self, orders: Vec<OrderId>) -> Result<Vec<OrderId>, StorageError> {
        either!(self, repository => repository.unknown(orders).await)
    }

    /// Ended orders before this one are removed.
    pub(in crate::shop) async fn horizon(&self) -> Result<OrderId, StorageError> {
        either!(self, repository => repository.horizon().await)
    }

    /// The line of numbers that the events have; a new one if the file is not what it was.
    pub(in crate::shop) async fn begin_events(
        &self,
        known: Option<KnownStream>,
    ) -> Result<StreamId, StorageError> {
        either!(self, repository => repository.begin_events(known).await)
    }

    /// The line of the events and its newest number.
    pub(in crate::shop) async fn known_events(&self) -> Result<Option<KnownStream>, StorageError> {
        either!(self, repository => repository.known_events().await)
    }

    /// The events behind that number.
    pub(super) async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        either!(self, repository => repository.events_after(number, limit).await)
    }

    /// Whether new work may be begun, or why not.
    pub(super) async fn accepts_new_work(&self) -> Result<(), StorageError> {
        either!(self, repository => repository.accepts_new_work().await)
    }

    /// Whether the store commits, found out by a commit.
    pub(super) async fn probe(&self) -> Result<(), String> {
        either!(self, repository => repository.probe().await)
    }
}

impl OrderTotals for OrdersRepository {
    async fn totals_after(&self, number: u64, limit: usize) -> Result<TotalsAfter, StorageError> {
        either!(self, orders => orders.totals_after(number, limit).await)
    }

    async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        either!(self, orders => orders.newest_event().await)
    }

    async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        either!(self, orders => orders.totals_as_of(number, after, limit).await)
    }
}
