//! The line of numbers that events have: it goes on over starts, and ends when a file is not what it was.

use std::path::Path;

use serde_json::Value;

use super::test_shop::{TestShop, order_of};

async fn place(shop: &TestShop) {
    let answer = shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
}

async fn position(shop: &TestShop) -> String {
    let page: Value = shop.get("/events?after=now").await.json();
    page["next"].as_str().unwrap().to_owned()
}

/// Closes the shop as a worker that stops does; its directory.
async fn close(shop: TestShop) -> tempfile::TempDir {
    shop.state.orders.settled().await;
    shop.streams.record().await;
    for store in &shop.stores {
        store.close();
    }
    shop.dir
}

fn sql(dir: &Path, file: &str, sql: &str) {
    let database = rusqlite::Connection::open(dir.join(file)).unwrap();
    database.execute_batch(sql).unwrap();
}

/// Does that to a closed shop with two orders; whether its events go on in the same line.
async fn goes_on_after(change: impl FnOnce(&Path)) -> bool {
    let shop = TestShop::open().await;
    place(&shop).await;
    place(&shop).await;
    let before = position(&shop).await;
    let dir = close(shop).await;
    change(dir.path());
    let shop = TestShop::open_in(dir, |_| {}).await;
    let answer = shop.get(&format!("/events?after={before}")).await;
    if answer.status.as_u16() == 200 {
        return true;
    }
    assert_eq!(answer.problem(), (410, "position_foreign".to_owned()));
    // The new line is one that the next start goes on with.
    let new = position(&shop).await;
    let shop = TestShop::open_in(close(shop).await, |_| {}).await;
    assert_eq!(position(&shop).await, new);
    false
}

#[tokio::test]
async fn the_line_goes_on_over_a_start_and_without_the_file_that_tells_how_far_it_was() {
    assert!(goes_on_after(|_| ()).await);
    let forget = |dir: &Path| std::fs::remove_file(dir.join("streams.json")).unwrap();
    assert!(goes_on_after(forget).await);
    let spoil = |dir: &Path| std::fs::write(dir.join("streams.json"), "[1,").unwrap();
    assert!(goes_on_after(spoil).await);
}

#[tokio::test]
async fn a_database_that_was_replaced_begins_a_new_line() {
    if super::test_shop::has_no_files(
        "a_database_that_was_replaced_begins_a_new_line",
        "it replaces and spoils files; a database is another one by its server",
    ) {
        return;
    }
    for file in ["orders.db", "inventory.db", "payments.db"] {
        let replace = |dir: &Path| {
            let (original, copy) = (dir.join(file), dir.join("copy"));
            std::fs::copy(&original, &copy).unwrap();
            std::fs::rename(&copy, &original).unwrap();
        };
        assert!(!goes_on_after(replace).await, "{file}");
    }
}

#[tokio::test]
async fn a_database_that_lost_its_newest_events_in_place_begins_a_new_line() {
    if super::test_shop::has_no_files(
        "a_database_that_lost_its_newest_events_in_place_begins_a_new_line",
        "it replaces and spoils files; a database is another one by its server",
    ) {
        return;
    }
    for file in ["orders.db", "payments.db"] {
        let lose = |dir: &Path| {
            sql(
                dir,
                file,
                "DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox)",
            );
        };
        assert!(!goes_on_after(lose).await, "{file}");
    }
}
