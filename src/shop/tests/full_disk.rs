//! A file that can grow no more: what is under way waits for room, and nothing is given up, parked or lost.

use http::StatusCode;
use serde_json::json;

use super::test_shop::{TestAnswer, TestShop};
use crate::store::{Admission, Store, Tx};

/// SQLite's own limit stands in for a full disk: the same error from the same calls.
async fn limit(store: &Store, pages: &'static str) {
    let set = move |tx: &Tx<'_>| -> rusqlite::Result<i64> {
        tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0))
    };
    store.write(Admission::Continue, set).await.unwrap();
}

/// Of many articles, so that a page is full after a few.
async fn place(shop: &TestShop) -> TestAnswer {
    let articles = shop.get("/inventory?limit=100").await.json();
    let articles = articles["items"].as_array().unwrap().iter();
    let items: Vec<_> = articles
        .filter(|article| article["available"].as_u64() > Some(400))
        .map(|article| json!({ "sku": article["sku"], "quantity": 1 }))
        .collect();
    shop.place(&json!({"customer_id": "c-1", "items": items, "payment": {"method": "pm_card_visa"}}))
        .await
}

/// How many of them wait.
async fn wait_in_line(shop: &TestShop) -> usize {
    let mut waiting = 0;
    for _ in 0..200 {
        let answer = place(shop).await;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::ACCEPTED => waiting += 1,
            StatusCode::INSUFFICIENT_STORAGE => {
                assert_eq!(answer.problem().1, "insufficient_storage");
                assert_eq!(answer.headers["retry-after"], "1");
            }
            other => panic!("{other}: {answer:?}"),
        }
        if waiting == 2 {
            break;
        }
    }
    waiting
}

async fn full(which: usize) {
    let shop = TestShop::open_with(|state| state.order_wait = std::time::Duration::from_millis(30)).await;
    limit(&shop.stores[which], "1").await;
    let waiting = wait_in_line(&shop).await;
    assert!(waiting > 0, "file {which} never filled up");
    limit(&shop.stores[which], "1000000").await;
    shop.state.orders.settled().await;
    let audit = shop.sound();
    assert_eq!(
        (audit.pending, audit.parked, audit.rejected),
        (0, 0, 0),
        "{audit:?}"
    );
    assert!(audit.confirmed >= waiting);
    let answer = place(&shop).await;
    assert!(answer.status.is_success(), "{answer:?}");
    shop.state.orders.settled().await;
    assert_eq!(shop.sound().confirmed, audit.confirmed + 1);
}

#[tokio::test]
async fn a_full_inventory_is_waited_for() {
    if super::test_shop::has_no_files(
        "a_full_inventory_is_waited_for",
        "it fills the disk of SQLite's files; tests/database fills the disk of a server",
    ) {
        return;
    }
    full(1).await;
}

#[tokio::test]
async fn full_payments_are_waited_for() {
    if super::test_shop::has_no_files(
        "full_payments_are_waited_for",
        "it fills the disk of SQLite's files; tests/database fills the disk of a server",
    ) {
        return;
    }
    full(2).await;
}

#[tokio::test]
async fn a_full_ledger_of_the_sandbox_is_waited_for() {
    if super::test_shop::has_no_files(
        "a_full_ledger_of_the_sandbox_is_waited_for",
        "it fills the disk of SQLite's files; tests/database fills the disk of a server",
    ) {
        return;
    }
    full(3).await;
}

#[tokio::test]
async fn full_orders_are_refused_and_lose_nothing() {
    if super::test_shop::has_no_files(
        "full_orders_are_refused_and_lose_nothing",
        "it fills the disk of SQLite's files; tests/database fills the disk of a server",
    ) {
        return;
    }
    let shop = TestShop::open_with(|state| state.order_wait = std::time::Duration::from_millis(30)).await;
    limit(&shop.stores[0], "1").await;
    let mut taken_in = 0;
    let refused = loop {
        let answer = place(&shop).await;
        match answer.status {
            StatusCode::CREATED | StatusCode::ACCEPTED => taken_in += 1,
            _ => break answer.problem(),
        }
        assert!(taken_in < 200, "the file never filled up");
    };
    assert_eq!(refused, (507, "insufficient_storage".to_owned()));
    limit(&shop.stores[0], "1000000").await;
    shop.state.orders.settled().await;
    assert_eq!(shop.sound().confirmed, taken_in);
    assert!(place(&shop).await.status.is_success());
    shop.state.orders.settled().await;
    shop.sound();
}
