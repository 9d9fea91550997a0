//! The same key and body give the same answer.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::test_shop::{TestShop, order_of};
use crate::shop::contract::OrderId;
use crate::shop::recovery::clock::now_ms;
use crate::sys::clock::since_boot_ms;

#[tokio::test]
async fn a_replay_gives_the_same_bytes_for_every_kind_of_answer() {
    let shop = TestShop::open().await;
    let bodies = [
        (201, order_of("espresso-cup", 2, "pm_card_visa")),
        (409, order_of("lever-machine", 4, "pm_card_visa")),
        (
            402,
            order_of("espresso-cup", 2, "pm_card_chargeDeclinedInsufficientFunds"),
        ),
    ];
    for (status, body) in bodies {
        let key = format!("key-{status}");
        let first = shop.place_with_key(&body, &key).await;
        assert_eq!(first.status, status);
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let again = shop.place_with_key(&body, &key).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers.get("location"), first.headers.get("location"));
    }
    let audit = shop.sound();
    assert_eq!((audit.confirmed, audit.rejected), (1, 2));
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused_and_another_spelling_of_it_is_not() {
    let shop = TestShop::open().await;
    let body = order_of("espresso-cup", 2, "pm_card_visa");
    let first = shop.place_with_key(&body, "k").await;
    let other = shop
        .place_with_key(&order_of("espresso-cup", 3, "pm_card_visa"), "k")
        .await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    let spelling = r#" {"payment":{"method":"pm_card_visa"}, "items":[{"quantity":2,"sku":"espresso-cup"}], "customer_id":"c-1"}"#;
    let same = shop.send(super::test_shop::post(spelling, Some("k"))).await;
    assert_eq!(same.bytes, first.bytes);
}

#[tokio::test]
async fn an_order_that_is_not_final_is_202_then_in_use_then_202_then_what_it_became() {
    let shop = TestShop::open_with(|state| state.order_wait = Duration::ZERO).await;
    let patient = TestShop {
        router: crate::shop::http::routes(waiting(&shop, 3_600)),
        ..shop
    };
    let body = order_of("espresso-cup", 1, "pm_card_visa");
    let hasty = crate::shop::http::routes(waiting(&patient, 0));
    let hasty = TestShop {
        router: hasty,
        state: patient.state.clone(),
        dir: tempfile::tempdir().unwrap(),
        stores: Vec::new(),
        clock: patient.clock.clone(),
        streams: patient.streams.clone(),
        customers: patient.customers.clone(),
        orders_stream: patient.orders_stream,
        worker: patient.worker.clone(),
        settings: patient.settings.clone(),
    };
    let first = hasty.place_with_key(&body, "k").await;
    assert_eq!(
        (first.status.as_u16(), &first.json()["status"]),
        (202, &json!("pending"))
    );
    let location = first.headers["location"].to_str().unwrap().to_owned();

    let in_use = patient.place_with_key(&body, "k").await;
    assert_eq!(in_use.problem(), (409, "idempotency_key_in_use".to_owned()));
    assert_eq!(in_use.headers["retry-after"], "1");
    let still = hasty.place_with_key(&body, "k").await;
    assert_eq!((still.status, &still.bytes), (first.status, &first.bytes));

    while patient.get(&location).await.json()["status"] == "pending" {
        tokio::task::yield_now().await;
    }
    let became = patient.place_with_key(&body, "k").await;
    assert_eq!(
        (became.status.as_u16(), &became.json()["status"]),
        (201, &json!("confirmed"))
    );
    assert_eq!(became.headers["location"], location);
    patient.sound();
}

fn waiting(shop: &TestShop, secs: u64) -> crate::shop::http::AppState {
    crate::shop::http::AppState {
        order_wait: Duration::from_secs(secs),
        ..shop.state.clone()
    }
}

#[tokio::test]
async fn two_at_once_under_one_key_make_one_order() {
    let shop = TestShop::open().await;
    let body = order_of("espresso-cup", 1, "pm_card_visa");
    let (one, two) = tokio::join!(shop.place_with_key(&body, "k"), shop.place_with_key(&body, "k"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    assert_eq!(shop.sound().confirmed, 1);
}

#[tokio::test]
async fn a_refused_request_binds_no_key() {
    let shop = TestShop::open().await;
    let unknown = shop
        .place_with_key(&order_of("no-such-cup", 1, "pm_card_visa"), "k")
        .await;
    assert_eq!(unknown.problem(), (422, "unknown_sku".to_owned()));
    let good = shop
        .place_with_key(&order_of("espresso-cup", 1, "pm_card_visa"), "k")
        .await;
    assert_eq!(good.status, 201);
}

#[tokio::test]
async fn a_bad_key_is_refused() {
    let shop = TestShop::open().await;
    let body = order_of("espresso-cup", 1, "pm_card_visa");
    let long = shop.place_with_key(&body, &"k".repeat(256)).await;
    assert_eq!(long.problem(), (400, "invalid_idempotency_key".to_owned()));
}

/// Makes the shop's only order one of long ago, with that status and end.
fn of_long_ago(shop: &TestShop, status: i64, changed_ms: i64) {
    let orders = rusqlite::Connection::open(shop.dir.path().join("orders.db")).unwrap();
    orders
        .execute("UPDATE idempotency_keys SET order_id = 1", [])
        .unwrap();
    let row = "UPDATE orders SET id = 1, status = ?1, changed_ms = ?2, reason = iif(?1 = 11, '{\"parked\":\"x\"}', NULL)";
    assert_eq!(orders.execute(row, (status, changed_ms)).unwrap(), 1);
}

#[tokio::test]
async fn a_key_does_not_expire_while_its_order_is_open_nor_at_once_when_it_ends() {
    if super::test_shop::has_no_files(
        "a_key_does_not_expire_while_its_order_is_open_nor_at_once_when_it_ends",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open_with(|state| state.order_wait = Duration::ZERO).await;
    let body = order_of("espresso-cup", 1, "pm_card_visa");
    shop.place_with_key(&body, "k").await;
    shop.state.orders.settled().await;
    let now = now_ms().cast_signed();
    let first = format!("/orders/{}", OrderId::from_key(1));
    for (status, changed_ms, answer) in [(11, 0, 202), (10, 0, 202), (20, now, 201)] {
        of_long_ago(&shop, status, changed_ms);
        let unrelated = format!("other-{status}");
        let declined = order_of("espresso-cup", 1, "pm_card_chargeDeclined");
        let other = shop.place_with_key(&declined, &unrelated).await;
        shop.state.orders.settled().await;
        let orders = rusqlite::Connection::open(shop.dir.path().join("orders.db")).unwrap();
        orders.execute("DELETE FROM orders WHERE id > 1", []).unwrap();
        orders
            .execute("DELETE FROM idempotency_keys WHERE order_id > 1", [])
            .unwrap();
        assert_ne!(
            other.headers.get("location").map(|at| at.to_str().unwrap()),
            Some(&*first)
        );
        let again = shop.place_with_key(&body, "k").await;
        assert_eq!(again.status.as_u16(), answer, "{again:?}");
        assert_eq!(again.headers["location"], first.as_str(), "status {status}");
    }
    of_long_ago(&shop, 20, 0);
    let anew = shop.place_with_key(&body, "k").await;
    assert_ne!(anew.headers["location"], first.as_str());
    shop.state.orders.settled().await;
}

const DAY_AND_MORE_MS: i64 = 26 * 3_600_000;

/// Writes the clock file of a directory as if the wall clock had been set back by `by_ms` milliseconds a
/// moment ago.
fn set_clock_back(data_dir: &Path, by_ms: i64) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let offset_ms = now_ms().cast_signed() - since_boot_ms().cast_signed() + by_ms;
    let state = json!({ "boot": boot.trim(), "offset_ms": offset_ms, "stepped": null, "followed": [] });
    std::fs::write(data_dir.join("clock.json"), state.to_string()).unwrap();
}

#[tokio::test]
async fn what_is_placed_while_the_clock_is_wrong_for_a_moment_is_dated_right() {
    if super::test_shop::has_no_files(
        "what_is_placed_while_the_clock_is_wrong_for_a_moment_is_dated_right",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    set_clock_back(dir.path(), DAY_AND_MORE_MS);
    let shop = TestShop::open_in(dir, |_| {}).await;
    let placed = shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    let order: OrderId = placed.json()["id"].as_str().unwrap().parse().unwrap();
    let right_ms = now_ms() + DAY_AND_MORE_MS.unsigned_abs();
    assert!(right_ms.abs_diff(order.created_ms()) < 60_000, "{placed:?}");
    let path = shop.dir.path().join("orders.db");
    let dates = "SELECT changed_ms, (SELECT at_ms FROM outbox) FROM orders";
    let (changed, announced): (i64, i64) = rusqlite::Connection::open(path)
        .unwrap()
        .query_row(dates, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    for at in [changed, announced] {
        assert!(
            right_ms.abs_diff(at.unsigned_abs()) < 60_000,
            "{changed} {announced}"
        );
    }
}

#[tokio::test]
async fn a_key_that_another_worker_dated_by_a_clock_further_back_has_not_expired() {
    if super::test_shop::has_no_files(
        "a_key_that_another_worker_dated_by_a_clock_further_back_has_not_expired",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let body = order_of("espresso-cup", 1, "pm_card_visa");
    shop.place_with_key(&body, "k").await;
    shop.state.orders.settled().await;
    let yesterday = OrderId::at(now_ms() - DAY_AND_MORE_MS.unsigned_abs(), 0);
    let orders = rusqlite::Connection::open(shop.dir.path().join("orders.db")).unwrap();
    for sql in [
        "UPDATE idempotency_keys SET order_id = ?1",
        "UPDATE orders SET id = ?1, changed_ms = 0",
    ] {
        orders.execute(sql, [yesterday.key()]).unwrap();
    }
    // The other worker follows the clock; this one has not heard of it.
    set_clock_back(shop.dir.path(), -DAY_AND_MORE_MS);
    let again = shop.place_with_key(&body, "k").await;
    assert_eq!(again.json()["id"], yesterday.to_string(), "{again:?}");
}
