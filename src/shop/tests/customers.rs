//! The summaries of customers: fed by events, taken over, built anew, and what retention leaves of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::test_shop::{TestShop, order_of};
use crate::shop::contract::StreamId;
use crate::shop::customers::{Consumer, OrdersFeed, rebuild};
use crate::shop::evidence::read_model;
use crate::worker::Worker;

async fn place(shop: &TestShop, customer: &str, quantity: i64) {
    let mut order = order_of("espresso-cup", quantity, "pm_card_visa");
    order["customer_id"] = json!(customer);
    let answer = shop.place(&order).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
}

async fn summary(shop: &TestShop, customer: &str) -> Value {
    let answer = shop.get(&format!("/customers/{customer}/summary")).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    answer.json()
}

/// What a leader runs.
fn consumer(shop: &TestShop, worker: &Worker) -> impl Future<Output = ()> + Send + use<> {
    let events = shop.state.events.clone();
    let feed = OrdersFeed {
        orders: shop.state.orders.clone(),
        stream: shop.orders_stream,
        wakes: Box::new(move || events.wakes()),
    };
    let consumer = Consumer::new(feed, shop.customers.clone(), worker.clone()).unwrap();
    async move { consumer.run().await }
}

async fn wait_for(shop: &TestShop, customer: &str, orders: u64) -> Value {
    loop {
        let answer = shop.get(&format!("/customers/{customer}/summary")).await;
        if answer.status.as_u16() == 200 && answer.json()["orders"] == orders {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The model agrees with the orders as of the event that it has come to.
async fn is_right(shop: &TestShop) {
    let found = read_model::check(shop.dir.path())
        .await
        .unwrap()
        .expect("a model");
    assert_eq!(found.wrong, Vec::<String>::new(), "{}", found.standing);
}

#[tokio::test]
async fn a_summary_follows_the_events_and_a_new_leader_goes_on_where_the_last_one_died() {
    let shop = TestShop::open().await;
    place(&shop, "c-1", 1).await;
    let early = shop.get("/customers/c-1/summary").await.problem();
    assert_eq!(early, (503, "store_unavailable".to_owned()));
    let first = tokio::spawn(consumer(&shop, &shop.worker));
    wait_for(&shop, "c-1", 1).await;
    place(&shop, "c-1", 2).await;
    place(&shop, "c-2", 1).await;
    shop.place(&order_of("espresso-cup", 1, "pm_card_chargeDeclined"))
        .await;
    let seen = wait_for(&shop, "c-1", 2).await;
    assert_eq!(seen["spent"], json!([{"amount": 1_350, "currency": "USD"}]));
    assert_eq!(seen["opening_balance"], Value::Null);
    first.abort();
    let _aborted = first.await;
    place(&shop, "c-1", 1).await;
    let _second = tokio::spawn(consumer(&shop, &shop.worker));
    wait_for(&shop, "c-1", 3).await;
    wait_for(&shop, "c-2", 1).await;
    is_right(&shop).await;
    let unknown = shop.get("/customers/nobody/summary").await.problem();
    assert_eq!(unknown, (404, "customer_not_found".to_owned()));
}

#[tokio::test]
async fn what_retention_removed_is_an_opening_balance_with_its_date() {
    if super::test_shop::has_no_files(
        "what_retention_removed_is_an_opening_balance_with_its_date",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    for _ in 0..3 {
        place(&shop, "c-1", 1).await;
    }
    shop.state.orders.settled().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    shop.state.orders.sweep(Duration::ZERO).await.unwrap();
    place(&shop, "c-1", 1).await;
    rebuild(&shop.state.orders, &shop.customers).await.unwrap();
    let summary = summary(&shop, "c-1").await;
    assert_eq!(summary["orders"], 4);
    assert_eq!(summary["spent"], json!([{"amount": 1_800, "currency": "USD"}]));
    let opening = &summary["opening_balance"];
    assert_eq!(opening["orders"], 3, "{summary}");
    assert_eq!(opening["spent"], json!([{"amount": 1_350, "currency": "USD"}]));
    assert!(opening["before"].as_str().unwrap().ends_with('Z'));
    is_right(&shop).await;
}

#[tokio::test]
async fn a_model_that_was_built_beside_new_orders_is_as_of_its_event_and_goes_on_behind_it() {
    let shop = TestShop::open().await;
    for customer in 0..30 {
        place(&shop, &format!("c-{customer}"), 1).await;
    }
    let built = async { rebuild(&shop.state.orders, &shop.customers).await.unwrap() };
    let more = async {
        for customer in 0..30 {
            place(&shop, &format!("c-{customer}"), 1).await;
        }
    };
    tokio::join!(built, more);
    is_right(&shop).await;
    let _leader = tokio::spawn(consumer(&shop, &shop.worker));
    for customer in 0..30 {
        wait_for(&shop, &format!("c-{customer}"), 2).await;
    }
    is_right(&shop).await;
}

#[tokio::test]
async fn a_model_of_other_events_or_of_events_that_are_gone_is_built_anew() {
    if super::test_shop::has_no_files(
        "a_model_of_other_events_or_of_events_that_are_gone_is_built_anew",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    place(&shop, "c-1", 1).await;
    rebuild(&shop.state.orders, &shop.customers).await.unwrap();
    for change in [
        "UPDATE inbox SET stream = stream + 1".to_owned(),
        "UPDATE inbox SET number = 1000".to_owned(),
    ] {
        let model = rusqlite::Connection::open(shop.dir.path().join("customers.db")).unwrap();
        model
            .execute_batch(&format!("{change}; UPDATE totals SET orders = 77"))
            .unwrap();
        drop(model);
        let leader = tokio::spawn(consumer(&shop, &shop.worker));
        wait_for(&shop, "c-1", 1).await;
        leader.abort();
        let _aborted = leader.await;
        is_right(&shop).await;
    }
    assert_ne!(shop.orders_stream, StreamId(0));
}

#[tokio::test]
async fn a_summary_that_is_wrong_is_told_with_the_remedy() {
    if super::test_shop::has_no_files(
        "a_summary_that_is_wrong_is_told_with_the_remedy",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    place(&shop, "c-1", 1).await;
    rebuild(&shop.state.orders, &shop.customers).await.unwrap();
    let model = rusqlite::Connection::open(shop.dir.path().join("customers.db")).unwrap();
    model.execute("UPDATE totals SET amount = 449", []).unwrap();
    let found = read_model::check(shop.dir.path())
        .await
        .unwrap()
        .expect("a model");
    assert_eq!(found.wrong.len(), 1);
    assert!(
        found.wrong[0].contains("says 1 orders of 449 USD, expected 1 orders of 450 USD"),
        "{found:?}"
    );
}
