//! The orders as others hold them: placing, waiting, reading. Taking sagas over is in [`super::takeover`],
//! removing what is old in [`super::retention`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::domain::{NewOrder, Order, OrderStatus, UnfinishedCounts};
use super::idempotency::{IdempotencyKey, KeyMatch, KeyRetention};
use super::repository::{OrdersPage, PlaceCommand, Placement};
use super::saga_runner::{OwnedSaga, SagaOutcome, SagaRunner};
use super::stores::OrdersRepository;
use super::timeline;
use crate::base::ids::Life;
use crate::saga::BudgetUsed;
use crate::shop::contract::{
    CustomerId, CustomerTotals, EventSource, EventsAfter, HeldEvent, Inventory, OrderId, OrderTotals,
    OrdersMark, Payments, StorageError, TimelineEntry, TimelineError, TotalsAfter,
};
use crate::shop::recovery::steady_clock::SteadyClock;

/// The time between two looks at an order whose saga another process runs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The bounds of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrdersLimits {
    /// How many sagas are under way in this process at most; further orders are refused.
    pub max_live_sagas: usize,
    /// How long an idempotency key is kept after its order ended.
    pub idempotency_retention: Duration,
    /// How long an event can be read.
    pub events_retention: Duration,
}

/// The orders. Cheap to clone.
#[derive(Clone)]
pub struct OrdersService<I, P> {
    pub(super) runner: SagaRunner<I, P>,
    limits: OrdersLimits,
    /// One permit for each saga that may be under way.
    pub(super) live: Arc<Semaphore>,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) keys: KeyRetention,
    /// The key of the order after which the next window of retention begins.
    pub(super) swept: Arc<AtomicI64>,
    /// Whether the last round of retention in this process found nothing old, in any service.
    pub(super) is_tidy: Arc<AtomicBool>,
}

/// What came of an order that was to be placed.
#[derive(Debug)]
pub enum Placed {
    /// The order is on disk, and its saga is under way.
    New(OrderId, JoinHandle<SagaOutcome>),
    /// The same request was made before under the same key, and placed this order.
    Before(OrderId),
}

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Another request was made under the same key.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// Too many sagas are under way.
    #[error("too many orders are under way")]
    TooMany,
    /// Another life claimed the sagas of this one. That happens to a worker that was taken for dead.
    #[error("this worker was taken for dead, and its orders were taken over")]
    Fenced,
    /// The transaction failed, or one of the services takes no new work.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<I: Inventory, P: Payments> OrdersService<I, P> {
    /// Over what that repository stores, on behalf of that life.
    pub(in crate::shop) fn new(
        repository: OrdersRepository,
        inventory: I,
        payments: P,
        life: Life,
        limits: OrdersLimits,
        clock: Arc<SteadyClock>,
    ) -> OrdersService<I, P> {
        OrdersService {
            runner: SagaRunner {
                repository,
                inventory,
                payments,
                life,
                on_fenced: Arc::new(|| ()),
            },
            limits,
            live: Arc::new(Semaphore::new(limits.max_live_sagas.min(Semaphore::MAX_PERMITS))),
            keys: KeyRetention {
                clock: Arc::clone(&clock),
                period: limits.idempotency_retention,
            },
            clock,
            swept: Arc::new(AtomicI64::new(-1)),
            is_tidy: Arc::default(),
        }
    }

    /// Has `hook` called when this life turns out to be fenced off: it can place no order any more and must
    /// be replaced.
    #[must_use]
    pub fn on_fenced(mut self, hook: impl Fn() + Send + Sync + 'static) -> OrdersService<I, P> {
        self.runner.on_fenced = Arc::new(hook);
        self
    }

    /// Writes the order, its saga and its key, and starts the saga, which goes on whether or not anybody
    /// waits for it.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing was written then.
    pub async fn place(&self, new: NewOrder, key: Option<IdempotencyKey>) -> Result<Placed, PlaceError> {
        self.accepts_new_work().await?;
        let permit = Arc::clone(&self.live)
            .try_acquire_owned()
            .map_err(|_| PlaceError::TooMany)?;
        let command = PlaceCommand {
            owner: self.runner.life,
            order: new.clone(),
            wanted: OrderId::at(self.clock.now_ms(), fastrand::u64(..)),
            key: key.map(|key| (key, self.keys.clone())),
        };
        let (reply, placement) = oneshot::channel();
        let runner = self.runner.clone();
        // One task from the first write on: a client that leaves must not leave an order on disk whose saga
        // nobody runs.
        let request = new.request_context();
        let task = tokio::spawn(request.scope(async move {
            let _permit = permit;
            let placement = runner.repository.place(command).await;
            let placed = match &placement {
                Ok(Placement::Placed(order)) => Some(*order),
                Ok(Placement::KeyTaken(_) | Placement::Fenced) | Err(_) => None,
            };
            // The client may have left.
            drop(reply.send(placement));
            match placed {
                Some(order) => runner.run(first_claim(order, new)).await,
                None => SagaOutcome::Lost,
            }
        }));
        match placement.await.unwrap_or_else(|_| Err(closed()))? {
            Placement::Placed(order) => Ok(Placed::New(order, task)),
            Placement::KeyTaken(KeyMatch::SameRequest(order)) => Ok(Placed::Before(order)),
            Placement::KeyTaken(KeyMatch::OtherRequest) => Err(PlaceError::KeyReused),
            Placement::Fenced => {
                (self.runner.on_fenced)();
                Err(PlaceError::Fenced)
            }
        }
    }

    /// An order is accepted only when each of the services can write for it. Sagas that are under way end
    /// when it can again.
    async fn accepts_new_work(&self) -> Result<(), StorageError> {
        let SagaRunner {
            repository,
            inventory,
            payments,
            ..
        } = &self.runner;
        repository.accepts_new_work().await?;
        inventory.accepts_new_work().await?;
        payments.accepts_new_work().await
    }

    /// The order that was placed with the same request under the same key, if there is one.
    ///
    /// # Errors
    /// [`PlaceError::KeyReused`] for another request. A look-up that failed is [`StorageError::Unavailable`],
    /// whatever the reason.
    pub async fn placed_before(&self, key: IdempotencyKey) -> Result<Option<OrderId>, PlaceError> {
        let found = self.runner.repository.find_key(key, self.keys.clone()).await;
        match found.map_err(|error| StorageError::Unavailable(error.to_string()))? {
            Some(KeyMatch::SameRequest(order)) => Ok(Some(order)),
            Some(KeyMatch::OtherRequest) => Err(PlaceError::KeyReused),
            None => Ok(None),
        }
    }

    /// The time by which everything in the shop is dated, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(super) fn events_retention(&self) -> Duration {
        self.limits.events_retention
    }

    /// Waits for a saga that was started here; for one that another process took over meanwhile, by reading.
    /// `None` when the order has not ended at `deadline`.
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
            if let Ok(Some(order)) = self.order(order).await
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

    /// How many orders have not ended, in the whole shop. Reads the index of unfinished orders alone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn unfinished_counts(&self) -> Result<UnfinishedCounts, StorageError> {
        self.runner.repository.unfinished_counts().await
    }

    /// The oldest event that a transaction holds back which is open on the server, if there is one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn oldest_held_event(&self) -> Result<Option<HeldEvent>, StorageError> {
        self.runner.repository.oldest_held_event().await
    }

    /// How many events are in the outbox.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn outbox_events(&self) -> Result<u64, StorageError> {
        self.runner.repository.outbox_events().await
    }

    /// How many unfinished sagas are of newer definitions than this program knows, and of which version, the
    /// newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn unknown_versions(&self) -> Result<Vec<(u64, u32)>, StorageError> {
        self.runner.repository.unknown_versions().await
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
    /// [`StorageError`].
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, StorageError> {
        self.runner.repository.order(id).await
    }

    /// At most `limit` orders (of that customer) before `before`, the latest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn orders(
        &self,
        customer: Option<CustomerId>,
        before: OrderId,
        limit: usize,
    ) -> Result<Vec<Order>, StorageError> {
        let page = OrdersPage {
            customer,
            before,
            limit,
        };
        self.runner.repository.orders(page).await
    }

    /// Everything that the services did for the order, in order of time. `None` when there is no such order.
    ///
    /// # Errors
    /// [`TimelineError`] when a service cannot read what it did.
    pub async fn timeline(&self, id: OrderId) -> Result<Option<Vec<TimelineEntry>>, TimelineError> {
        let history = self.runner.repository.history(id).await;
        let Some(history) = history.map_err(|error| TimelineError(error.to_string()))? else {
            return Ok(None);
        };
        let inventory = self.runner.inventory.timeline(id).await?;
        let payments = self.runner.payments.timeline(id).await?;
        Ok(Some(timeline::merge(&history, inventory, payments)))
    }

    /// Whether the store commits.
    ///
    /// # Errors
    /// The reason.
    pub async fn probe(&self) -> Result<(), String> {
        self.runner.repository.probe().await
    }
}

fn first_claim(order: OrderId, placed: NewOrder) -> OwnedSaga {
    OwnedSaga {
        order,
        claim_no: 1,
        placed,
        given_up: None,
        budget_used: BudgetUsed::default(),
    }
}

/// The task that wrote the order ended without an answer, which it does only with its runtime.
fn closed() -> StorageError {
    StorageError::Unavailable("the store is closed".to_owned())
}

impl Order {
    /// How the order ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<SagaOutcome> {
        match self.status {
            OrderStatus::Pending | OrderStatus::Parked => None,
            OrderStatus::Confirmed => Some(SagaOutcome::Confirmed),
            OrderStatus::Rejected => self.rejection.clone().map(SagaOutcome::Rejected),
        }
    }
}

impl<I: Inventory, P: Payments> EventSource for OrdersService<I, P> {
    async fn events_after(&self, number: u64, limit: usize) -> Result<EventsAfter, StorageError> {
        self.runner.repository.events_after(number, limit).await
    }
}

impl<I: Inventory, P: Payments> OrderTotals for OrdersService<I, P> {
    async fn totals_after(&self, number: u64, limit: usize) -> Result<TotalsAfter, StorageError> {
        self.runner.repository.totals_after(number, limit).await
    }

    async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        self.runner.repository.newest_event().await
    }

    async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        self.runner.repository.totals_as_of(number, after, limit).await
    }
}

impl<I, P> std::fmt::Debug for OrdersService<I, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrdersService")
            .field("life", &self.runner.life)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
