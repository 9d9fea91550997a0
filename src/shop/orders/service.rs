//! The orders as others hold them: placing, waiting, reading, inheriting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::domain::{NewOrder, Order, OrderStatus, UnfinishedCounts};
use super::idempotency::{self, IdempotencyKey, KeyMatch, KeyRetention};
use super::saga_runner::{OwnedSaga, SagaOutcome, SagaRunner};
use super::sqlite::orders::{self as journal, ClaimedBatch, Placement};
use super::sqlite::retention;
use crate::base::backoff::Backoff;
use crate::base::ids::{Incarnation, Life};
use crate::saga::BudgetUsed;
use crate::saga::definition::ORDER_VERSION;
use crate::shop::contract::{CustomerId, Fence, Inventory, OrderId, Payments, TimelineEntry, TimelineError};
use crate::shop::recovery::clock::now_ms;
use crate::shop::recovery::fences;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Admission, ReadError, Store, Tx, WriteError};

/// How many sagas are claimed in one transaction.
const CLAIMED_AT_ONCE: usize = 200;
/// The waits between tries to claim while the store cannot be written.
const CLAIM_RETRY: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_secs(1),
};
/// How often an order is read whose saga another process finishes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Bounds of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrdersLimits {
    /// Sagas under way in this process; more orders are refused.
    pub max_live_sagas: usize,
    /// How long an idempotency key is kept.
    pub idempotency_retention: Duration,
}

/// The orders. Cheap to clone.
#[derive(Clone)]
pub struct OrdersService<I, P> {
    saga_runner: SagaRunner<I, P>,
    limits: OrdersLimits,
    live: Arc<Semaphore>,
    kept: KeyRetention,
    /// Where the next round of retention goes on in the other files.
    swept: Arc<AtomicI64>,
    /// A round of this process found nothing old, here or elsewhere.
    tidy: Arc<AtomicBool>,
}

/// What came of an order that was to be placed.
#[derive(Debug)]
pub enum Placed {
    /// It is on disk, and its saga is under way.
    New(OrderId, JoinHandle<SagaOutcome>),
    /// The same request was made before under the same key: this is its order.
    Before(OrderId),
}

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// Too many sagas are under way.
    #[error("too many orders are under way")]
    TooMany,
    /// The sagas of this life were claimed by another one, which happens to a worker that was taken for dead.
    #[error("this worker was taken for dead, and its orders were taken over")]
    Fenced,
    /// A store takes no writes for now: a full disk.
    #[error("there is no room on the disk")]
    NoRoom,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] WriteError<rusqlite::Error>),
}

impl<I: Inventory, P: Payments> OrdersService<I, P> {
    /// Over a store that was opened with this service's schema, on behalf of that life.
    #[must_use]
    pub fn new(
        store: Store,
        inventory: I,
        payments: P,
        life: Life,
        limits: OrdersLimits,
    ) -> OrdersService<I, P> {
        // Beside the file, which always has a directory.
        let directory = store.path().parent().unwrap_or(std::path::Path::new("."));
        let almanac = Arc::new(SteadyClock::begin(directory));
        let kept = KeyRetention {
            almanac: Arc::clone(&almanac),
            retention: limits.idempotency_retention,
        };
        let live = Arc::new(Semaphore::new(limits.max_live_sagas.min(Semaphore::MAX_PERMITS)));
        OrdersService {
            saga_runner: SagaRunner {
                store,
                inventory,
                payments,
                life,
                almanac,
                on_fenced: Arc::new(|| ()),
            },
            limits,
            live,
            kept,
            swept: Arc::new(AtomicI64::new(-1)),
            tidy: Arc::default(),
        }
    }

    /// Learns what the keeper knows of the wall clock.
    pub fn look_at_the_clock(&self) {
        self.saga_runner.almanac.reload();
    }

    /// The keeper's look at the wall clock, when nothing is kept for longer than `retention`.
    ///
    /// # Errors
    /// The system's, when it cannot be written down.
    pub fn keep_the_clock(&self, retention: Duration) -> std::io::Result<()> {
        self.saga_runner.almanac.observe(retention)
    }

    /// Told when this life turns out to be fenced: it can place no order any more and must be replaced.
    #[must_use]
    pub fn on_fenced(mut self, hook: impl Fn() + Send + Sync + 'static) -> OrdersService<I, P> {
        self.saga_runner.on_fenced = Arc::new(hook);
        self
    }

    /// Puts order, saga and key on disk and starts the saga, which goes on whether or not anybody waits for it.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing was written then.
    pub async fn place(&self, new: NewOrder, key: Option<IdempotencyKey>) -> Result<Placed, PlaceError> {
        if !self.has_room().await {
            return Err(PlaceError::NoRoom);
        }
        let permit = Arc::clone(&self.live)
            .try_acquire_owned()
            .map_err(|_| PlaceError::TooMany)?;
        let (owner, kept) = (self.saga_runner.life, self.kept.clone());
        let wanted = OrderId::at(self.saga_runner.almanac.now_ms(), fastrand::u64(..));
        let order = new.clone();
        let job = move |tx: &Tx<'_>| {
            let key = key.as_ref().map(|key| (key, &kept));
            journal::place(tx, owner, &order, wanted, key)
        };
        let (told, placing) = oneshot::channel();
        let saga_runner = self.saga_runner.clone();
        // One task from the first write on: a client that leaves must not leave an order on disk that nobody drives.
        let task = tokio::spawn(async move {
            let _live = permit;
            let placing = saga_runner.store.write(Admission::New, job).await;
            let placed = match &placing {
                Ok(Placement::Placed(order)) => Some(*order),
                Ok(Placement::Known(_) | Placement::Fenced) | Err(_) => None,
            };
            // Whoever asked may have left.
            drop(told.send(placing));
            match placed {
                Some(order) => {
                    saga_runner
                        .drive(OwnedSaga {
                            order,
                            claim_no: 1,
                            placed: new,
                            given_up: None,
                            spent: BudgetUsed::default(),
                        })
                        .await
                }
                None => SagaOutcome::Lost,
            }
        });
        match placing.await.unwrap_or(Err(WriteError::Closed))? {
            Placement::Placed(order) => Ok(Placed::New(order, task)),
            Placement::Known(KeyMatch::Same(order)) => Ok(Placed::Before(order)),
            Placement::Known(KeyMatch::Other) => Err(PlaceError::KeyReused),
            Placement::Fenced => {
                (self.saga_runner.on_fenced)();
                Err(PlaceError::Fenced)
            }
        }
    }

    /// An order is taken in only when each of the services can write for it: what is under way ends when there is room again.
    async fn has_room(&self) -> bool {
        let SagaRunner {
            store,
            inventory,
            payments,
            ..
        } = &self.saga_runner;
        store.has_room().await && inventory.has_room().await && payments.has_room().await
    }

    /// The order that was placed with the same request under the same key, if there is one.
    ///
    /// # Errors
    /// [`PlaceError::KeyReused`] for another request; a failed look-up is told as a failed write.
    pub fn placed_before(&self, key: &IdempotencyKey) -> Result<Option<OrderId>, PlaceError> {
        let found = self
            .saga_runner
            .store
            .peek(|connection| idempotency::find(connection, key, &self.kept));
        match found.map_err(|error| WriteError::Failed(error.to_string()))? {
            Some(KeyMatch::Same(order)) => Ok(Some(order)),
            Some(KeyMatch::Other) => Err(PlaceError::KeyReused),
            None => Ok(None),
        }
    }

    /// The time by which orders are dated, in milliseconds since 1970: the wall clock, but for steps that have not stood yet.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.saga_runner.almanac.now_ms()
    }

    /// Waits for a saga that was started here; for one that was taken over meanwhile, by reading. `None` when it is not final
    /// at `deadline`.
    pub async fn wait(
        &self,
        order: OrderId,
        task: JoinHandle<SagaOutcome>,
        deadline: Instant,
    ) -> Option<SagaOutcome> {
        match tokio::time::timeout_at(deadline, task).await {
            Ok(Ok(end @ (SagaOutcome::Confirmed | SagaOutcome::Rejected(_)))) => Some(end),
            Ok(Ok(SagaOutcome::Parked)) | Err(_) => None,
            Ok(Ok(SagaOutcome::Lost) | Err(_)) => self.wait_for_another(order, deadline).await,
        }
    }

    async fn wait_for_another(&self, order: OrderId, deadline: Instant) -> Option<SagaOutcome> {
        loop {
            if let Ok(Some(order)) = self.order(order)
                && let Some(end) = order.end()
            {
                return Some(end);
            }
            if Instant::now() + LOOK_AGAIN >= deadline {
                return None;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Claims the unfinished sagas of a life that ended. Returns when all of them have an owner; they are driven meanwhile.
    pub async fn inherit_life(&self, life: Life) -> usize {
        self.inherit(Fence::Life(life)).await
    }

    /// Claims the unfinished sagas of every life of an earlier incarnation, and the parked ones for another try.
    pub async fn inherit_before(&self, incarnation: Incarnation) -> usize {
        self.inherit(Fence::Before(incarnation)).await
    }

    /// Claims the unfinished sagas of everybody who is dead. A life that was taken for dead itself claims nothing, and goes on with
    /// what it does: it finds out when it writes.
    pub async fn inherit_dead(&self, is_dead: impl Fn(Life) -> bool) {
        let own = self.saga_runner.life;
        let owners = self.saga_runner.store.peek(|connection| {
            if fences::bars(connection, own)? {
                return Ok(Vec::new());
            }
            journal::all_owners(connection)
        });
        // A file that cannot be read now is told of by others; the next look is soon.
        for owner in owners.unwrap_or_default() {
            if owner != own && is_dead(owner) {
                self.inherit_life(owner).await;
            }
        }
    }

    /// Whether a saga is under way that this life drives, or may have to inherit: not one of a later incarnation.
    #[must_use]
    pub fn any_under_way(&self) -> bool {
        let own = self.saga_runner.life;
        let under_way = |connection: &rusqlite::Connection| journal::any_under_way(connection, own);
        self.saga_runner.store.peek(under_way).unwrap_or(false)
    }

    async fn inherit(&self, of: Fence) -> usize {
        let (mut failures, mut all) = (0, 0);
        loop {
            match self.claim_some(of).await {
                Ok(Some(claimed)) if claimed.orders.is_empty() && claimed.parked.is_empty() => return all,
                Ok(None) => {
                    // Somebody else must do it, and is asked as soon as this process has ended.
                    (self.saga_runner.on_fenced)();
                    std::future::pending::<()>().await;
                }
                Ok(Some(claimed)) => {
                    all += claimed.orders.len();
                    for order in &claimed.parked {
                        tracing::error!(%order, "an order is parked: none of its owners survived it");
                    }
                    self.take_over(claimed.orders);
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "unfinished orders could not be claimed; it will be tried again");
                    tokio::time::sleep(CLAIM_RETRY.wait(failures, fastrand::u64(..))).await;
                }
            }
        }
    }

    /// First the participants refuse the earlier owner, then the sagas get another: whoever wakes up in between, or afterwards,
    /// writes nothing for a claimed saga.
    async fn claim_some(&self, of: Fence) -> Result<Option<ClaimedBatch>, String> {
        let (store, heir) = (&self.saga_runner.store, self.saga_runner.life);
        let looked = store.peek(|connection| {
            let owed = journal::is_owed(connection, of, heir)?;
            Ok((owed, fences::bars(connection, heir)?))
        });
        match looked.map_err(|error| error.to_string())? {
            (false, _) => return Ok(Some(ClaimedBatch::default())),
            (true, true) => return Ok(None),
            (true, false) => {}
        }
        let (inventory, payments) = tokio::join!(
            self.saga_runner.inventory.fence(of),
            self.saga_runner.payments.fence(of)
        );
        inventory.and(payments)?;
        // Held against what the participants dated, who go by the wall clock.
        let job = move |tx: &Tx<'_>| journal::claim(tx, of, heir, CLAIMED_AT_ONCE, now_ms());
        let claimed = store.write::<_, rusqlite::Error>(Admission::Continue, job).await;
        claimed.map_err(|error| error.to_string())
    }

    fn take_over(&self, claimed: Vec<(Order, BudgetUsed)>) {
        if claimed.is_empty() {
            return;
        }
        tracing::info!(orders = claimed.len(), "took over unfinished orders");
        for (order, spent) in claimed {
            let (saga_runner, live) = (self.saga_runner.clone(), Arc::clone(&self.live));
            let saga = OwnedSaga {
                order: order.id,
                claim_no: order.claim_no,
                placed: order.placed,
                given_up: order.given_up,
                spent,
            };
            tokio::spawn(async move {
                let _live = live.acquire_owned().await;
                saga_runner.drive(saga).await
            });
        }
    }

    /// One small round of retention: removes at most some hundred keys that have expired and orders that ended `retention` ago, and
    /// what the others keep for orders that are gone. How many keys and orders were removed. Once all is tidy nothing is written
    /// until something has grown old, so that an idle shop leaves the disk alone.
    ///
    /// # Errors
    /// The reason, in words; the next round tries again.
    pub async fn sweep(&self, retention: Duration) -> Result<usize, String> {
        let before = self.saga_runner.almanac.ago_ms(retention);
        let horizon = OrderId::first_of(before);
        let after = OrderId::from_key(self.swept.load(Ordering::Relaxed));
        let kept = self.kept.clone();
        if self.tidy.load(Ordering::Relaxed) && !self.is_anything_older(horizon)? {
            return Ok(0);
        }
        let job = move |tx: &Tx<'_>| {
            let expired = idempotency::expire(tx, &kept)?;
            let round = retention::sweep(tx, horizon, before, after)?;
            Ok((expired, round))
        };
        let swept = self
            .saga_runner
            .store
            .write::<_, rusqlite::Error>(Admission::Continue, job)
            .await;
        let (expired, round) = swept.map_err(|error| error.to_string())?;
        let window = round.window;
        let next = window.next();
        let kept: Arc<[OrderId]> = window.kept.into();
        let (after, before) = (window.after, window.before);
        let tidy = expired + round.removed == 0 && kept.is_empty();
        let inventory = self
            .saga_runner
            .inventory
            .forget(after, before, Arc::clone(&kept));
        inventory.await?;
        self.saga_runner.payments.forget(after, before, kept).await?;
        self.swept.store(next.key(), Ordering::Relaxed);
        self.tidy.store(tidy, Ordering::Relaxed);
        Ok(expired + round.removed)
    }

    fn is_anything_older(&self, horizon: OrderId) -> Result<bool, String> {
        let older = self.saga_runner.store.peek(|connection| {
            Ok(retention::is_any_older(connection, horizon)?
                || idempotency::is_any_older(connection, &self.kept)?)
        });
        older.map_err(|error| error.to_string())
    }

    /// How many orders are not over, in the whole shop. Reads the index of unfinished ones alone.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn unfinished(&self) -> Result<UnfinishedCounts, ReadError> {
        self.saga_runner.store.peek(journal::unfinished)
    }

    /// Unfinished sagas of newer definitions than this program knows: how many of which version, the newest first.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn unknown_versions(&self) -> Result<Vec<(u64, u32)>, ReadError> {
        let unknown =
            |connection: &rusqlite::Connection| retention::unknown_versions(connection, ORDER_VERSION);
        self.saga_runner.store.peek(unknown)
    }

    /// Returns when no saga is under way in this process.
    pub async fn settled(&self) {
        let all = u32::try_from(self.limits.max_live_sagas).unwrap_or(u32::MAX);
        drop(self.live.acquire_many(all).await);
    }

    /// How many sagas are under way in this process.
    #[must_use]
    pub fn live_sagas(&self) -> usize {
        self.limits
            .max_live_sagas
            .saturating_sub(self.live.available_permits())
    }

    /// One order.
    ///
    /// # Errors
    /// As [`Store::peek`].
    pub fn order(&self, id: OrderId) -> Result<Option<Order>, ReadError> {
        self.saga_runner
            .store
            .peek(|connection| journal::find(connection, id))
    }

    /// At most `limit` orders (of that customer) before `before`, the latest first.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn orders(
        &self,
        customer: Option<CustomerId>,
        before: OrderId,
        limit: usize,
    ) -> Result<Vec<Order>, ReadError> {
        let list = move |connection: &rusqlite::Connection| {
            journal::list(connection, customer.as_ref(), before, limit)
        };
        self.saga_runner.store.read(list).await
    }

    /// Everything that was done for the order, by whichever service, in order of time. `None` when there is no such order.
    ///
    /// # Errors
    /// [`TimelineError`] when a service could not tell.
    pub async fn timeline(&self, id: OrderId) -> Result<Option<Vec<TimelineEntry>>, TimelineError> {
        let told = self.saga_runner.store.peek(|connection| {
            let Some(order) = journal::find(connection, id)? else {
                return Ok(None);
            };
            journal::story(connection, &order).map(Some)
        });
        let Some(mut entries) = told.map_err(|error| TimelineError(error.to_string()))? else {
            return Ok(None);
        };
        // Between the first line and the last, in the order of the saga; the sort is stable, so clocks that agree keep it.
        let last = if entries.len() > 1 {
            entries.split_off(1)
        } else {
            Vec::new()
        };
        let inventory = self.saga_runner.inventory.story(id).await?;
        let payments = self.saga_runner.payments.story(id).await?;
        let (reserved, ended) = inventory.split_at(inventory.len().min(1));
        entries.extend_from_slice(reserved);
        entries.extend(payments);
        entries.extend_from_slice(ended);
        entries.extend(last);
        entries.sort_by_key(|entry| entry.at_ms);
        Ok(Some(entries))
    }

    /// Whether the store commits.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        self.saga_runner.store.probe().await
    }
}

impl Order {
    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<SagaOutcome> {
        match self.status {
            OrderStatus::Pending | OrderStatus::Parked => None,
            OrderStatus::Confirmed => Some(SagaOutcome::Confirmed),
            OrderStatus::Rejected => self.rejection.clone().map(SagaOutcome::Rejected),
        }
    }
}

impl<I, P> std::fmt::Debug for OrdersService<I, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrdersService")
            .field("life", &self.saga_runner.life)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
