//! What is old is removed whatever else is old and stays.

use std::time::Duration;

use serde_json::json;

use super::test_shop::{TestShop, order_of};
use crate::shop::orders::FILE;
use crate::store::Store;

/// Orders of long ago that stand still, each before the next.
fn park_many(shop: &TestShop, many: i64) {
    let mut orders = rusqlite::Connection::open(shop.dir.path().join(FILE)).unwrap();
    let tx = orders.transaction().unwrap();
    for id in 1..=many {
        tx.execute(
            "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms, reason)
             VALUES (?1, 11, 'c', '[[\"espresso-cup\",1,450]]', 450, 'USD', 'pm_card_visa', 1, '1/9/9', 1, 0, '{\"parked\":\"x\"}')",
            [id],
        )
        .unwrap();
    }
    tx.commit().unwrap();
}

#[tokio::test]
async fn however_many_old_orders_stand_still_the_ended_ones_are_removed_everywhere() {
    if super::test_shop::has_no_files(
        "however_many_old_orders_stand_still_the_ended_ones_are_removed_everywhere",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    park_many(&shop, 6_000);
    for _ in 0..5 {
        let answer = shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
        assert_eq!(answer.status.as_u16(), 201);
    }
    shop.state.orders.settled().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    for _ in 0..4 {
        shop.state.orders.sweep(Duration::ZERO).await.unwrap();
    }
    let payments = shop.get("/payments").await.json();
    let left = payments["items"].as_array().unwrap().len();
    assert_eq!(left, 0, "{payments}");
    assert_eq!(
        shop.get("/inventory/espresso-cup").await.json()["reserved"],
        json!(0)
    );
    assert_eq!(shop.state.orders.unfinished_counts().await.unwrap().parked, 6_000);
}

#[tokio::test]
async fn a_shop_in_which_nothing_grows_old_writes_nothing_and_what_grows_old_is_removed_all_the_same() {
    if super::test_shop::has_no_files(
        "a_shop_in_which_nothing_grows_old_writes_nothing_and_what_grows_old_is_removed_all_the_same",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let commits = || shop.stores.iter().map(Store::commits).sum::<u64>();
    let day = Duration::from_secs(86_400);
    shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    shop.state.orders.settled().await;
    shop.state.orders.sweep(day).await.unwrap();
    let before = commits();
    shop.state.orders.sweep(day).await.unwrap();
    assert_eq!(commits(), before);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let two_orders_and_the_event_before_the_last = 3;
    let removed = shop.state.orders.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(removed, two_orders_and_the_event_before_the_last);
    shop.sound();
}
