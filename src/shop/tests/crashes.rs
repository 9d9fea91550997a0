//! An owner is stopped before and after every command, another life takes over, and later the first one wakes
//! up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::test_shop::{TestShop, life};
use crate::base::ids::{Incarnation, Life};
use crate::base::money::{Currency, Money};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, CustomerId, Fence, Inventory, OrderId, OrderLine, Participant,
    Payments, QuoteError, RequestedItem, Sku, StorageError, SweepWindow, TimelineEntry, TimelineError,
};
use crate::shop::evidence::audit::{Moment, check_invariants};
use crate::shop::inventory::InventoryService;
use crate::shop::orders::{
    NewOrder, OrderStatus, OrdersLimits, OrdersService, PlaceError, Placed, SagaOutcome,
};
use crate::shop::payments::PaymentsService;

/// Stops the sender of the command with that number, before or after the command is carried out, until it is
/// woken.
#[derive(Clone)]
pub(super) struct Stopping<S> {
    pub(super) service: S,
    pub(super) fuse: Arc<Fuse>,
}

pub(super) struct Fuse {
    left: AtomicU32,
    after: bool,
    pub(super) stopped: Semaphore,
    pub(super) woken: Semaphore,
}

impl Fuse {
    pub(super) fn at(command: u32, after: bool) -> Arc<Fuse> {
        let (stopped, woken) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Fuse {
            left: AtomicU32::new(command),
            after,
            stopped,
            woken,
        })
    }

    async fn around(&self, command: impl Future<Output = CommandOutcome> + Send) -> CommandOutcome {
        let stops = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if stops && !self.after {
            self.sleep().await;
        }
        let outcome = command.await;
        if stops && self.after {
            self.sleep().await;
        }
        outcome
    }

    async fn sleep(&self) {
        self.stopped.add_permits(1);
        self.woken.acquire().await.unwrap().forget();
    }
}

/// The participants of that shop, which stop their sender at that fuse.
pub(super) fn stopping(
    shop: &TestShop,
    fuse: &Arc<Fuse>,
) -> (Stopping<InventoryService>, Stopping<PaymentsService>) {
    let inventory = Stopping {
        service: shop.state.inventory.clone(),
        fuse: Arc::clone(fuse),
    };
    let payments = Stopping {
        service: shop.state.payments.clone(),
        fuse: Arc::clone(fuse),
    };
    (inventory, payments)
}

impl<S: Participant> Participant for Stopping<S> {
    async fn fence(&self, fence: Fence) -> Result<(), String> {
        self.service.fence(fence).await
    }

    async fn forget(&self, window: SweepWindow) -> Result<(), String> {
        self.service.forget(window).await
    }

    async fn accepts_new_work(&self) -> Result<(), StorageError> {
        self.service.accepts_new_work().await
    }

    async fn timeline(&self, order: OrderId) -> Result<Vec<TimelineEntry>, TimelineError> {
        self.service.timeline(order).await
    }
}

impl<S: Inventory> Inventory for Stopping<S> {
    async fn quote(&self, items: Vec<RequestedItem>) -> Result<Vec<OrderLine>, QuoteError> {
        self.service.quote(items).await
    }

    async fn reserve(&self, token: ClaimToken, lines: Arc<[OrderLine]>) -> CommandOutcome {
        self.fuse.around(self.service.reserve(token, lines)).await
    }

    async fn release(&self, token: ClaimToken) -> CommandOutcome {
        self.fuse.around(self.service.release(token)).await
    }

    async fn commit(&self, token: ClaimToken) -> CommandOutcome {
        self.fuse.around(self.service.commit(token)).await
    }

    async fn give_back(&self, token: ClaimToken) -> CommandOutcome {
        self.fuse.around(self.service.give_back(token)).await
    }
}

impl<S: Payments> Payments for Stopping<S> {
    async fn charge(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        self.fuse.around(self.service.charge(token, charge)).await
    }

    async fn cancel(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        self.fuse.around(self.service.cancel(token, charge)).await
    }

    async fn refund(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        self.fuse.around(self.service.refund(token, charge)).await
    }
}

const LIMITS: OrdersLimits = OrdersLimits {
    max_live_sagas: 8,
    idempotency_retention: Duration::from_secs(60),
    events_retention: Duration::from_secs(60),
};

pub(super) fn new_order(method: &str) -> NewOrder {
    let cup = Sku::try_from("espresso-cup".to_owned()).unwrap();
    let unit_price = Money {
        amount: 450,
        currency: Currency::USD,
    };
    let customer = CustomerId::try_from("c-1".to_owned()).unwrap();
    NewOrder::new(
        customer,
        vec![OrderLine {
            sku: cup,
            quantity: 2,
            unit_price,
        }],
        method.to_owned(),
    )
    .unwrap()
}

/// The orders of the same shop as another life has them, which runs in another process.
pub(super) async fn orders_of_another<I: Inventory, P: Payments>(
    shop: &TestShop,
    inventory: I,
    payments: P,
    life: Life,
) -> OrdersService<I, P> {
    let repository = shop.orders_repository_of(life).await;
    OrdersService::new(
        repository,
        inventory,
        payments,
        life,
        LIMITS,
        Arc::clone(&shop.clock),
    )
}

async fn stop_take_over_and_wake(method: &str, command: u32, after: bool) -> (OrderStatus, SagaOutcome) {
    let shop = TestShop::open().await;
    let fuse = Fuse::at(command, after);
    let (inventory, payments) = stopping(&shop, &fuse);
    let sleeper = orders_of_another(&shop, inventory, payments, life(7)).await;
    let Placed::New(order, task) = sleeper.place(new_order(method), None).await.unwrap() else {
        panic!("not placed")
    };
    fuse.stopped.acquire().await.unwrap().forget();

    shop.state.orders.take_over_life(life(6)).await;
    assert_eq!(
        shop.state.orders.live_sagas(),
        0,
        "an order whose owner was not named was touched"
    );
    shop.state.orders.take_over_life(life(7)).await;
    shop.state.orders.take_over_life(life(7)).await;
    while shop
        .state
        .orders
        .order(order)
        .await
        .unwrap()
        .unwrap()
        .end()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    shop.sound();

    fuse.woken.add_permits(1);
    let end = task.await.unwrap();
    shop.sound();
    let known = shop.state.orders.order(order).await.unwrap().unwrap();
    assert_eq!((known.claim_no, known.owner), (2, life(1)));
    (known.status, end)
}

#[tokio::test]
async fn an_owner_that_is_stopped_at_any_command_loses_a_good_order_which_is_confirmed() {
    for command in 1..=3 {
        for after in [false, true] {
            let (status, end) = stop_take_over_and_wake("pm_card_visa", command, after).await;
            assert_eq!(
                (status, end),
                (OrderStatus::Confirmed, SagaOutcome::Lost),
                "command {command}, after: {after}"
            );
        }
    }
}

#[tokio::test]
async fn an_owner_that_is_stopped_at_any_command_loses_a_declined_order_which_is_rejected() {
    for command in 1..=3 {
        for after in [false, true] {
            let (status, end) = stop_take_over_and_wake("pm_card_chargeDeclined", command, after).await;
            assert_eq!(
                (status, end),
                (OrderStatus::Rejected, SagaOutcome::Lost),
                "command {command}, after: {after}"
            );
        }
    }
}

#[tokio::test]
async fn a_new_incarnation_takes_over_what_earlier_ones_left_and_nothing_of_its_own() {
    let shop = TestShop::open().await;
    let fuse = Fuse::at(2, false);
    let (inventory, payments) = stopping(&shop, &fuse);
    let earlier = Life {
        incarnation: Incarnation(0),
        ..life(7)
    };
    let sleeper = orders_of_another(&shop, inventory, payments, earlier).await;
    let Placed::New(order, _task) = sleeper.place(new_order("pm_card_visa"), None).await.unwrap() else {
        panic!("not placed")
    };
    fuse.stopped.acquire().await.unwrap().forget();
    shop.state.orders.take_over_before(Incarnation(0)).await;
    assert!(
        shop.state
            .orders
            .order(order)
            .await
            .unwrap()
            .unwrap()
            .end()
            .is_none()
    );
    let audit = check_invariants(shop.dir.path(), Moment::Any).unwrap();
    assert_eq!((audit.violations.len(), audit.pending), (0, 1));
    shop.state.orders.take_over_before(Incarnation(1)).await;
    while shop
        .state
        .orders
        .order(order)
        .await
        .unwrap()
        .unwrap()
        .end()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.sound().confirmed, 1);
    let story = shop.state.orders.timeline(order).await.unwrap().unwrap();
    let steps: Vec<&str> = story.iter().map(|entry| entry.step).collect();
    assert_eq!(
        steps.iter().filter(|step| **step == "claim").count(),
        1,
        "{steps:?}"
    );
}

fn token(claim_no: u32) -> ClaimToken {
    ClaimToken {
        order: OrderId::at(1_795_363_200_123, 7),
        claim_no,
        life: life(claim_no),
    }
}

#[tokio::test]
async fn inventory_answers_again_and_refuses_a_lower_claim() {
    a_lower_claim_is_refused(&TestShop::open().await).await;
}

/// The rule of claims: whoever has a lower one than a participant has seen changes nothing.
pub(super) async fn a_lower_claim_is_refused(shop: &TestShop) {
    let inventory = &shop.state.inventory;
    let lines = new_order("pm_card_visa").lines;
    for claim_no in [1, 1, 3, 3] {
        assert_eq!(
            inventory.reserve(token(claim_no), lines.clone()).await,
            CommandOutcome::Done
        );
    }
    assert_eq!(inventory.reserve(token(2), lines).await, CommandOutcome::Fenced);
    assert_eq!(inventory.commit(token(2)).await, CommandOutcome::Fenced);
    assert_eq!(inventory.release(token(2)).await, CommandOutcome::Fenced);
    assert_eq!(inventory.commit(token(3)).await, CommandOutcome::Done);
    assert_eq!(inventory.commit(token(3)).await, CommandOutcome::Done);
    assert!(matches!(
        inventory.release(token(3)).await,
        CommandOutcome::Refused(_)
    ));
    let cup = inventory
        .article(Sku::try_from("espresso-cup".to_owned()).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((cup.on_hand, cup.reserved), (99_998, 0));
}

#[tokio::test]
async fn a_fenced_life_can_do_nothing_and_place_nothing() {
    if super::test_shop::has_no_files(
        "a_fenced_life_can_do_nothing_and_place_nothing",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let (inventory, payments) = (&shop.state.inventory, &shop.state.payments);
    let charge = || ChargeTerms {
        amount: new_order("pm_card_visa").total,
        method: "pm_card_visa".into(),
    };
    inventory.fence(Fence::Life(life(1))).await.unwrap();
    payments.fence(Fence::Life(life(1))).await.unwrap();
    let lines = new_order("pm_card_visa").lines;
    assert_eq!(
        inventory.reserve(token(1), lines.clone()).await,
        CommandOutcome::Fenced
    );
    assert_eq!(inventory.release(token(1)).await, CommandOutcome::Fenced);
    assert_eq!(inventory.commit(token(1)).await, CommandOutcome::Fenced);
    assert_eq!(payments.charge(token(1), charge()).await, CommandOutcome::Fenced);
    assert_eq!(payments.cancel(token(1), charge()).await, CommandOutcome::Fenced);
    assert_eq!(inventory.reserve(token(2), lines).await, CommandOutcome::Done);

    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let fuse = Fuse::at(1, false);
    let stopping = Stopping {
        service: inventory.clone(),
        fuse: fuse.clone(),
    };
    let sleeper = orders_of_another(&shop, stopping, payments.clone(), life(7))
        .await
        .on_fenced(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
    let Placed::New(..) = sleeper.place(new_order("pm_card_visa"), None).await.unwrap() else {
        panic!("not placed")
    };
    fuse.stopped.acquire().await.unwrap().forget();
    assert_eq!(shop.state.orders.take_over_life(life(7)).await, 1);
    let barred = sleeper.place(new_order("pm_card_visa"), None).await;
    assert!(matches!(barred, Err(PlaceError::Fenced)), "{barred:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_release_that_comes_first_refuses_the_late_reserve() {
    a_tombstone_refuses_the_late_reserve(&TestShop::open().await).await;
}

/// The rule of tombstones: a command that was undone before it came is refused when it comes.
pub(super) async fn a_tombstone_refuses_the_late_reserve(shop: &TestShop) {
    assert_eq!(shop.state.inventory.release(token(1)).await, CommandOutcome::Done);
    let late = shop
        .state
        .inventory
        .reserve(token(1), new_order("pm_card_visa").lines)
        .await;
    assert!(matches!(late, CommandOutcome::Refused(_)));
    assert!(matches!(
        shop.state.inventory.commit(token(1)).await,
        CommandOutcome::Refused(_)
    ));
    shop.sound();
}

#[tokio::test]
async fn payments_answers_again_and_a_cancel_that_comes_first_refuses_the_late_charge() {
    let shop = TestShop::open().await;
    let payments = &shop.state.payments;
    let charge = || ChargeTerms {
        amount: Money {
            amount: 900,
            currency: Currency::USD,
        },
        method: "pm_card_visa".into(),
    };
    for claim_no in [2, 2] {
        assert_eq!(
            payments.cancel(token(claim_no), charge()).await,
            CommandOutcome::Done
        );
    }
    assert!(matches!(
        payments.charge(token(2), charge()).await,
        CommandOutcome::Refused(_)
    ));
    assert_eq!(payments.charge(token(1), charge()).await, CommandOutcome::Fenced);
    let other = ClaimToken {
        order: OrderId::at(1_795_363_200_124, 7),
        ..token(1)
    };
    for _ in 0..2 {
        assert_eq!(payments.charge(other, charge()).await, CommandOutcome::Done);
    }
    assert!(matches!(
        payments.cancel(other, charge()).await,
        CommandOutcome::Refused(_)
    ));
}
