//! A step's budget is one for all the owners that a saga has.

use std::time::{Duration, Instant};

use super::crashes::{new_order, orders_of_another};
use super::test_shop::{TestShop, life};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, Fence, OrderId, Participant, Payments, StorageError,
    SweepWindow, TimelineEntry, TimelineError,
};
use crate::shop::orders::{FILE, Placed, Rejection, SagaOutcome};

/// Payments whose provider takes no charges: it says so, or says nothing.
struct Away<P> {
    service: P,
    silent: bool,
}

impl<P: Participant> Participant for Away<P> {
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

impl<P: Payments> Payments for Away<P> {
    async fn charge(&self, _: ClaimToken, _: ChargeTerms) -> CommandOutcome {
        if self.silent {
            std::future::pending::<()>().await;
        }
        CommandOutcome::Unknown("the provider is away".to_owned())
    }

    async fn cancel(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        self.service.cancel(token, charge).await
    }

    async fn refund(&self, token: ClaimToken, charge: ChargeTerms) -> CommandOutcome {
        self.service.refund(token, charge).await
    }
}

impl<P: Clone> Clone for Away<P> {
    fn clone(&self) -> Away<P> {
        Away {
            service: self.service.clone(),
            silent: self.silent,
        }
    }
}

#[tokio::test]
async fn the_new_owner_of_a_saga_has_what_is_left_of_the_budget() {
    if super::test_shop::has_no_files(
        "the_new_owner_of_a_saga_has_what_is_left_of_the_budget",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let owner = |silent, epoch| {
        let payments = Away {
            service: shop.state.payments.clone(),
            silent,
        };
        let inventory = shop.state.inventory.clone();
        orders_of_another(&shop, inventory, payments, life(epoch))
    };
    let first = owner(true, 7).await;
    let Placed::New(order, task) = first.place(new_order("pm_card_visa"), None).await.unwrap() else {
        panic!("not placed")
    };
    let file = rusqlite::Connection::open(shop.dir.path().join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(60)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // No outcome ever comes, and yet it is known what was spent.
    let spent = "SELECT count(*) FROM budget_used WHERE step = 'charge'";
    while file.query_row(spent, [], |row| row.get::<_, u32>(0)).unwrap() == 0 {
        assert!(Instant::now() < deadline, "nothing was ever said to be spent");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    tokio::task::yield_now().await;
    // After whatever it still had to say: let it be nearly all of the budget.
    first.probe().await.unwrap();
    file.execute("UPDATE budget_used SET used_ms = 19900 WHERE step = 'charge'", [])
        .unwrap();
    let second = owner(false, 1).await;
    let taken_over = Instant::now();
    second.take_over_life(life(7)).await;
    let end = loop {
        if let Some(end) = second.order(order).await.unwrap().unwrap().end() {
            break end;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let step = "charge".to_owned();
    assert_eq!(end, SagaOutcome::Rejected(Rejection::GaveUp { step }));
    let took = taken_over.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "{took:?}: the budget of 20 s began anew"
    );
    shop.sound();
}
