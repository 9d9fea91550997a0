//! One order of events: the timeline and the order's report tell them in the same order, also when all of
//! them have the same time.

use std::time::Duration;

use rusqlite::Connection;

use super::crashes::orders_of_another;
use super::test_shop::{TestShop, life, order_of, post};
use crate::shop::contract::OrderId;
use crate::shop::evidence::order_report;
use crate::shop::orders::decision::{DecidedAct, DecisionOutcome, OperatorDecision};
use crate::shop::orders::{OrdersRepository, Placed};

/// Dates every record of every file by the time at which the order was placed.
fn date_everything_by(shop: &TestShop, order: OrderId) {
    let at_ms = order.created_ms();
    let at = crate::shop::recovery::clock::rfc3339(at_ms);
    for (file, sql) in [
        (
            "orders.db",
            format!(
                "UPDATE orders SET changed_ms = {at_ms}; UPDATE outbox SET at_ms = {at_ms};
                 UPDATE takeovers SET at_ms = {at_ms}; UPDATE interventions SET at_ms = {at_ms}"
            ),
        ),
        (
            "inventory.db",
            format!("UPDATE reservations SET reserved_ms = {at_ms}, changed_ms = {at_ms}"),
        ),
        (
            "payments.db",
            format!("UPDATE payments SET at_ms = {at_ms}, refunded_ms = iif(refund IS NULL, NULL, {at_ms})"),
        ),
        (
            "sandbox.db",
            format!("DROP TRIGGER attempt_is_never_changed; UPDATE attempt SET at = '{at}'"),
        ),
    ] {
        let file = Connection::open(shop.dir.path().join(file)).unwrap();
        file.execute_batch(&sql).unwrap();
    }
}

/// The first word or two of each line of the report.
fn report(shop: &TestShop, order: OrderId) -> Vec<String> {
    let report = order_report::read(shop.dir.path(), &order.to_string()).unwrap();
    let words = |says: &str| {
        let words = says.split([' ', ',', ':']).filter(|word| !word.is_empty());
        words.take(2).collect::<Vec<_>>().join(" ")
    };
    let line = |line: &order_report::ReportLine| format!("{}: {}", line.book, words(&line.says));
    report.lines.iter().map(line).collect()
}

/// The steps of the timeline.
async fn timeline(shop: &TestShop, order: OrderId) -> Vec<&'static str> {
    let entries = shop.state.orders.timeline(order).await.unwrap().unwrap();
    entries.iter().map(|entry| entry.step).collect()
}

async fn placed(shop: &TestShop, method: &str) -> OrderId {
    let answer = shop.place(&order_of("espresso-cup", 1, method)).await.json();
    let id = answer.get("order_id").unwrap_or(&answer["id"]);
    shop.state.orders.settled().await;
    id.as_str().unwrap().parse().unwrap()
}

async fn until_it_ended(shop: &TestShop, order: OrderId) {
    let orders = &shop.state.orders;
    while orders.order(order).await.unwrap().unwrap().end().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_confirmed_order_is_told_in_the_order_of_its_saga_when_all_times_are_equal() {
    if super::test_shop::has_no_files(
        "a_confirmed_order_is_told_in_the_order_of_its_saga_when_all_times_are_equal",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let order = placed(&shop, "pm_card_visa").await;
    date_everything_by(&shop, order);
    assert_eq!(
        report(&shop, order),
        [
            "orders: placed by",
            "inventory: reserved [[\"espresso-cup\"",
            "provider: charge under",
            "payments: charged receipt",
            "inventory: committed (by",
            "orders: confirmed (owner",
            "orders: event order.confirmed",
        ]
    );
    assert_eq!(
        timeline(&shop, order).await,
        ["place", "reserve", "charge", "commit", "confirm"]
    );
}

#[tokio::test]
async fn a_declined_order_is_told_in_the_order_of_its_saga_when_all_times_are_equal() {
    if super::test_shop::has_no_files(
        "a_declined_order_is_told_in_the_order_of_its_saga_when_all_times_are_equal",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let order = placed(&shop, "pm_card_chargeDeclined").await;
    date_everything_by(&shop, order);
    assert_eq!(
        report(&shop, order),
        [
            "orders: placed by",
            "inventory: reserved [[\"espresso-cup\"",
            "provider: charge under",
            "payments: declined card_declined",
            "inventory: released (by",
            "orders: rejected (owner",
            "orders: event order.rejected",
        ]
    );
    assert_eq!(
        timeline(&shop, order).await,
        ["place", "reserve", "charge", "release", "reject"]
    );
}

/// The order was sent and paid and then parked; an operator has it undone, and another worker undoes it.
#[tokio::test]
async fn an_order_that_is_undone_by_another_owner_is_told_in_that_order_when_all_times_are_equal() {
    if super::test_shop::has_no_files(
        "an_order_that_is_undone_by_another_owner_is_told_in_that_order_when_all_times_are_equal",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let (inventory, payments) = (shop.state.inventory.clone(), shop.state.payments.clone());
    let first = orders_of_another(&shop, inventory, payments, life(7)).await;
    let Placed::New(order, task) = first
        .place(super::crashes::new_order("pm_card_visa"), None)
        .await
        .unwrap()
    else {
        panic!("not placed")
    };
    task.await.unwrap();
    let file = Connection::open(shop.dir.path().join("orders.db")).unwrap();
    file.busy_timeout(Duration::from_secs(60)).unwrap();
    let parked = "UPDATE orders SET status = 11, reason = '{\"parked\":\"a test\"}'; DELETE FROM outbox";
    file.execute_batch(parked).unwrap();
    let decision = OperatorDecision {
        order,
        act: DecidedAct::Compensate,
        who: "an operator".to_owned(),
        reason: "a test".to_owned(),
    };
    let decisions = OrdersRepository::open_for_decisions(shop.dir.path())
        .await
        .unwrap();
    assert_eq!(decisions.decide(decision).await, Ok(DecisionOutcome::Recorded));
    shop.state
        .orders
        .take_over_life(crate::shop::contract::HANDED_BACK)
        .await;
    tokio::time::timeout(Duration::from_secs(60), until_it_ended(&shop, order))
        .await
        .expect("the order ends");
    date_everything_by(&shop, order);
    assert_eq!(
        report(&shop, order),
        [
            "orders: placed by",
            "inventory: reserved [[\"espresso-cup\"",
            "provider: charge under",
            "payments: charged receipt",
            "orders: an operator",
            "orders: claim 3",
            "inventory: released (by",
            "provider: refund under",
            "payments: refunded receipt",
            "orders: rejected (owner",
            "orders: event order.rejected",
        ]
    );
    assert_eq!(
        timeline(&shop, order).await,
        [
            "place", "reserve", "charge", "claim", "release", "refund", "reject"
        ]
    );
}

#[tokio::test]
async fn an_order_names_the_request_that_placed_it() {
    let shop = TestShop::open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let declined = order_of("espresso-cup", 1, "pm_card_chargeDeclined").to_string();
    let placed = async |id: &str| {
        let mut request = post(declined.clone(), Some("k"));
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        request
            .headers_mut()
            .insert("traceparent", trace.parse().unwrap());
        shop.send(request).await
    };
    let first = placed("r-1").await;
    assert_eq!(first.json()["request_id"], "r-1");
    let order = first.json()["order_id"].as_str().unwrap().to_owned();
    assert_eq!(
        placed("r-2").await.bytes,
        first.bytes,
        "the order's request is told"
    );
    let timeline = shop.get(&format!("/orders/{order}/timeline")).await.json();
    assert_eq!(timeline["items"][0]["request_id"], "r-1", "{timeline}");
    let known = shop
        .state
        .orders
        .order(order.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let request = known.placed.request.unwrap();
    assert_eq!((request.id(), request.traceparent()), ("r-1", Some(trace)));
    let report = order_report::read(shop.dir.path(), &order).unwrap();
    assert!(report.lines[0].says.ends_with("request r-1"), "{report}");
}
