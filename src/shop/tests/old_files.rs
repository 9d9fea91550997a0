//! A data directory that was written by the program before the incompatible schema version.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::test_shop::{TestShop, order_of};
use crate::base::ids::Incarnation;
use crate::scoreboard::Board;
use crate::shop::contract::OrderId;
use crate::shop::orders::OrderStatus;
use crate::shop::recovery::clock::now_ms;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::{Schema, Store, StoreOptions};

/// How many migrations of each file the program before had.
const ORDERS_VERSION: usize = 6;
const INVENTORY_VERSION: usize = 3;
const PAYMENTS_VERSION: usize = 4;

/// Creates a file as the program before did, and runs its statements.
fn write(dir: &Path, file: &str, schema: Schema, version: usize, sql: &str) {
    let older = Schema {
        migrations: &schema.migrations[..version],
        ..schema
    };
    let path = dir.join(file);
    let cell = Board::private().cell(schema.name).unwrap();
    drop(Store::open(&older, StoreOptions::new(&path, cell)).unwrap());
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
}

/// The keys of a confirmed order with an idempotency key, one that is under way, and one that is parked.
struct OldOrders {
    dir: TempDir,
    confirmed: OrderId,
    pending: OrderId,
    parked: OrderId,
}

fn old_orders() -> OldOrders {
    let dir = tempfile::tempdir().unwrap();
    let confirmed = OrderId::at(now_ms() - 60_000, 0);
    let (pending, parked) = (confirmed.next(), confirmed.next().next());
    let (c, p, k) = (confirmed.key(), pending.key(), parked.key());
    let request = r#"{"customer_id":"c-1","items":[{"sku":"espresso-cup","quantity":1}],"payment":{"method":"pm_card_visa"}}"#;
    let hash: [u8; 32] = Sha256::digest(request).into();
    let hash = hash.map(|byte| format!("{byte:02x}")).concat();
    let ended_ms = confirmed.created_ms() + 5;
    let of_a_cup = "'c-1', '[[\"espresso-cup\",1,450]]', 450, 'USD', 'pm_card_visa', 1, '0/0/1', 1";
    write(
        dir.path(),
        orders::FILE,
        orders::SCHEMA,
        ORDERS_VERSION,
        &format!(
            "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner,
                claim_no, ended_ms, reason) VALUES
             ({c}, 20, {of_a_cup}, {ended_ms}, NULL), ({p}, 10, {of_a_cup}, {ended_ms}, NULL),
             ({k}, 11, {of_a_cup}, {ended_ms}, '{{\"parked\":\"a test\"}}');
             INSERT INTO outbox VALUES (1, {c}, 'order.confirmed', {ended_ms});
             INSERT INTO idempotency_keys VALUES ({c}, 'old', x'{hash}');
             INSERT INTO tries VALUES ({p}, 1, 'charge', '0/0/1', 3, 1, 2, 3, 4, 'away');
             INSERT INTO spent VALUES ({p}, 1, 'charge', 19900)"
        ),
    );
    write(
        dir.path(),
        inventory::FILE,
        inventory::SCHEMA,
        INVENTORY_VERSION,
        &format!(
            "INSERT INTO stock VALUES ('espresso-cup', 'Espresso cup', 450, 'USD', 99, 1, 100);
             INSERT INTO loaded VALUES ('catalog', 1);
             INSERT INTO reservations VALUES
             ({c}, 20, 1, '[[\"espresso-cup\",1]]', 7, '0/0/1', 8, NULL, NULL),
             ({p}, 10, 1, '[[\"espresso-cup\",1]]', 7, '0/0/1', 7, NULL, NULL)"
        ),
    );
    write(
        dir.path(),
        payments::FILE,
        payments::SCHEMA,
        PAYMENTS_VERSION,
        &format!(
            "INSERT INTO payments (order_id, state, claim_no, amount, currency, method, receipt, at_ms, by)
             VALUES ({c}, 10, 1, 450, 'USD', 'pm_card_visa', 'ch_{confirmed}.1', 7, '0/0/1')"
        ),
    );
    write(
        dir.path(),
        sandbox::FILE,
        sandbox::SCHEMA,
        sandbox::SCHEMA.migrations.len(),
        &format!(
            "INSERT INTO attempt VALUES ('{confirmed}.1', 'charge', 'succeeded', NULL, '{confirmed}', 450, 'USD',
                'pm_card_visa', NULL, '2026-11-22T16:00:00.123456789Z')"
        ),
    );
    OldOrders {
        dir,
        confirmed,
        pending,
        parked,
    }
}

#[tokio::test]
async fn the_files_of_the_program_before_are_served_with_their_orders_keys_and_budgets() {
    if super::test_shop::has_no_files(
        "the_files_of_the_program_before_are_served_with_their_orders_keys_and_budgets",
        "it is about files of older versions",
    ) {
        return;
    }
    let OldOrders {
        dir,
        confirmed,
        pending,
        parked,
    } = old_orders();
    let shop = TestShop::open_in(dir, |_| {}).await;
    let order = async |id| shop.state.orders.order(id).await.unwrap().unwrap();
    let known = order(confirmed).await;
    assert_eq!(known.status, OrderStatus::Confirmed);
    assert_eq!(known.changed_ms, confirmed.created_ms() + 5);
    let replayed = shop
        .place_with_key(&order_of("espresso-cup", 1, "pm_card_visa"), "old")
        .await;
    assert_eq!(replayed.json()["id"], confirmed.to_string(), "{replayed:?}");
    let counts = shop.state.orders.unfinished_counts().await.unwrap();
    assert_eq!((counts.pending, counts.parked), (1, 1));
    assert_eq!(shop.state.orders.take_over_before(Incarnation(1)).await, 2);
    for unfinished in [pending, parked] {
        while order(unfinished).await.end().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(order(unfinished).await.status, OrderStatus::Confirmed);
    }
    assert_eq!(shop.sound().confirmed, 3);
    // The event of before has nothing but the order that it is of.
    let events = shop.get("/events?types=shop.order.confirmed.v1").await.json();
    let first = &events["items"][0];
    assert_eq!(first["subject"], confirmed.to_string(), "{events}");
    assert_eq!(first["data"]["total"]["amount"], 450);
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
}
