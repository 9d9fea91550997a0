//! Four files that agree with each other, each spoiled in one place.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::shop::recovery::clock::now_ms;
use crate::shop::sqlite::read_only::DATABASES;

const NEWEST: &str = "(SELECT max(id) FROM orders)";

/// One order that is confirmed and one, the newest, that was declined.
fn sound() -> (TempDir, OrderId) {
    let dir = tempfile::tempdir().unwrap();
    let confirmed = OrderId::at(now_ms(), 1);
    let (key, id, declined) = (confirmed.key(), confirmed.to_string(), confirmed.next().key());
    let rows = [
        format!(
            "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms) VALUES
             ({key}, 20, 'c', '[[\"cup\",2,450]]', 900, 'USD', 'pm_card_visa', 1, '1/0/1', 1, 7),
             ({declined}, 30, 'c', '[[\"cup\",1,450]]', 450, 'USD', 'pm_card_chargeDeclined', 1, '1/0/1', 1, 7);
             INSERT INTO outbox (seq, order_id, event, at_ms) VALUES
             (1, {key}, 'order.confirmed', 7), (2, {declined}, 'order.rejected', 7);
             INSERT INTO idempotency_keys VALUES ({key}, 'k', zeroblob(32))"
        ),
        format!(
            "INSERT INTO stock VALUES ('cup', 'Cup', 450, 'USD', 5, 0, 7, 1, 7, 0),
             ('pot', 'Pot', 1, 'USD', 5, 0, 5, 1, 7, 0), ('tin', 'Tin', 1, 'USD', 3, 0, 3, 1, 7, 3);
             INSERT INTO adjustments VALUES (1, 'tin', 4, 'came', 4, 7, 'a'),
             (2, 'tin', -1, 'broke', 3, 7, 'b');
             INSERT INTO reservations VALUES ({key}, 20, 1, '[[\"cup\",2]]', 7, '1/0/1', 7, NULL, NULL)"
        ),
        format!(
            "INSERT INTO payments (order_id, state, claim_no, amount, currency, method, receipt, at_ms, by) VALUES
             ({key}, 10, 1, 900, 'USD', 'pm_card_visa', 'ch_{id}.1', 7, '1/0/1'),
             ({declined}, 20, 1, 450, 'USD', 'pm_card_chargeDeclined', NULL, 7, '1/0/1')"
        ),
        format!(
            "INSERT INTO attempt VALUES ('{id}.1', 'charge', 'succeeded', NULL, '{id}', 900, 'USD', \
             'pm_card_visa', NULL, '')"
        ),
    ];
    for ((file, schema), rows) in DATABASES.into_iter().zip(rows) {
        let (id, version) = (schema.application_id, schema.version());
        let made = format!("PRAGMA application_id = {id}; PRAGMA user_version = {version}; {rows}");
        let connection = Connection::open(dir.path().join(file)).unwrap();
        connection.execute_batch(&schema.migrations.concat()).unwrap();
        connection.execute_batch(&made).unwrap();
    }
    (dir, confirmed)
}

fn spoil(dir: &Path, file: &str, sql: &str) {
    let connection = Connection::open(dir.join(file)).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn told(dir: &Path, moment: Moment) -> String {
    check_invariants(dir, moment).unwrap().violations.join("\n")
}

/// What is told of it beside a running cluster and at rest alike.
fn told_of(file: &str, sql: &str) -> (String, OrderId) {
    let (dir, order) = sound();
    spoil(dir.path(), file, sql);
    let any = told(dir.path(), Moment::Any);
    assert_eq!(any, told(dir.path(), Moment::Rest), "{sql}");
    (any, order)
}

#[test]
fn files_that_agree_are_sound() {
    let (dir, _) = sound();
    let audit = check_invariants(dir.path(), Moment::Rest).unwrap();
    assert_eq!(audit.violations, Vec::<String>::new());
    assert_eq!((audit.confirmed, audit.rejected), (1, 1));
}

#[test]
fn a_price_a_currency_a_means_of_payment_or_a_receipt_that_was_changed_in_one_book_is_told_with_its_order() {
    let all_charges = "DROP TRIGGER attempt_is_never_changed; UPDATE attempt SET";
    let spoiled = [
        (
            orders::FILE,
            "UPDATE orders SET items = replace(items, '450', '1')".to_owned(),
            "is at 900 USD by pm_card_visa, and its lines do not make that: [[\"cup\",2,1]]",
        ),
        (
            orders::FILE,
            "UPDATE orders SET items = 'junk'".to_owned(),
            "its lines do not make that: junk",
        ),
        (
            orders::FILE,
            "UPDATE orders SET currency = 'EUR'".to_owned(),
            "is confirmed at 900 EUR by pm_card_visa and payments says 900 USD",
        ),
        (
            orders::FILE,
            "UPDATE orders SET method = 'x'".to_owned(),
            "is confirmed at 900 USD by x and its standing charges are [900 USD by pm_card_visa]",
        ),
        (
            payments::FILE,
            "UPDATE payments SET currency = 'EUR'".to_owned(),
            "is confirmed at 900 USD by pm_card_visa and payments says 900 EUR",
        ),
        (
            payments::FILE,
            "UPDATE payments SET receipt = 'ch_x'".to_owned(),
            "payments has the receipt \"ch_x\"",
        ),
        (
            payments::FILE,
            "UPDATE payments SET receipt = NULL".to_owned(),
            "payments has the receipt \"\"",
        ),
        (
            sandbox::FILE,
            format!("{all_charges} currency = 'EUR'"),
            "and its standing charges are [900 EUR by pm_card_visa]",
        ),
    ];
    for (file, sql, words) in spoiled {
        let (told, order) = told_of(file, &sql);
        let line = told.lines().find(|line| line.contains(words));
        assert!(
            line.is_some_and(|line| line.starts_with(&order.to_string())),
            "{sql}: {told}"
        );
    }
    let (declined, order) = told_of(
        payments::FILE,
        "UPDATE payments SET currency = 'EUR' WHERE state = 20",
    );
    let id = order.next();
    assert!(
        declined.contains(&format!("{id} is rejected at 450 USD")),
        "{declined}"
    );
}

#[test]
fn goods_of_no_article_are_told_with_their_sku_and_lines_that_cannot_be_read_with_their_order() {
    let (sold, _) = told_of(inventory::FILE, "DELETE FROM stock WHERE sku = 'cup'");
    assert_eq!(
        sold,
        "stock of cup: there is no such article, 0 are held and 2 went out"
    );
    let (unsold, _) = told_of(inventory::FILE, "DELETE FROM stock WHERE sku = 'pot'");
    assert_eq!(unsold, "", "nobody ever wanted it");
    let (held, _) = told_of(
        inventory::FILE,
        "DELETE FROM stock WHERE sku = 'cup'; UPDATE reservations SET state = 10",
    );
    assert!(held.contains("2 are held and 0 went out"), "{held}");
    let (junk, order) = told_of(inventory::FILE, "UPDATE reservations SET items = 'junk'");
    let words = format!("{order}: the lines of its reservation are \"junk\"");
    assert!(junk.contains(&words), "{junk}");
}

#[test]
fn an_adjustment_that_is_lost_or_changed_is_told() {
    for (sql, sum) in [
        ("DELETE FROM adjustments WHERE number = 2", 4),
        ("UPDATE adjustments SET delta = -2 WHERE number = 2", 2),
        (
            "UPDATE stock SET adjusted = 2 WHERE sku = 'tin'; DELETE FROM adjustments",
            0,
        ),
    ] {
        let (told, _) = told_of(inventory::FILE, sql);
        let words = format!(
            "adjusted by {}, and its adjustments make {sum}",
            3 - i32::from(sum == 0)
        );
        assert_eq!(told, format!("stock of tin: {words}"), "{sql}");
    }
    let stranger = "INSERT INTO adjustments VALUES (3, 'jar', 4, 'came', 4, 7, 'c')";
    let (told, _) = told_of(inventory::FILE, stranger);
    assert_eq!(
        told,
        "stock of jar: there is no such article, its adjustments make 4"
    );
}

#[test]
fn events_and_keys_of_no_order_and_hashes_that_are_none_are_told() {
    let stranger = "INSERT INTO outbox (seq, order_id, event, at_ms) VALUES (3, 999, 'order.confirmed', 1)";
    let (told, _) = told_of(orders::FILE, stranger);
    let id = OrderId::from_key(999);
    let words = format!("event 3 is order.confirmed of {id}, which there is not");
    assert_eq!(told, words);
    let elsewhere = "UPDATE idempotency_keys SET order_id = order_id + 2";
    let (told, order) = told_of(orders::FILE, elsewhere);
    let id = order.next().next();
    assert_eq!(told, format!("the key \"k\" leads to {id}, which there is not"));
    let (told, order) = told_of(orders::FILE, "UPDATE idempotency_keys SET body_hash = x'00'");
    let words = format!("the key \"k\" of {order} has a hash of 1 bytes, expected 32");
    assert_eq!(told, words);
    let many = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO idempotency_keys SELECT {NEWEST} + i, i, zeroblob(32) FROM n"
    );
    let (told, _) = told_of(orders::FILE, &many);
    assert_eq!(told.lines().count(), MAX_PER_KIND + 1);
    assert!(told.ends_with("and 50 more keys are bad"), "{told}");
}

#[test]
fn a_horizon_in_the_future_is_told_and_hides_nothing() {
    let horizon = |order: i64| format!("INSERT INTO horizon VALUES (1, {order})");
    let day = 86_400_000;
    for (ahead_ms, is_told) in [(0, false), (day - 60_000, false), (day + 60_000, true)] {
        let to = OrderId::first_of(now_ms() + ahead_ms);
        let (told, _) = told_of(orders::FILE, &horizon(to.key()));
        assert_eq!(told.contains("the horizon of retention"), is_told, "{told}");
    }
    let (dir, order) = sound();
    spoil(dir.path(), orders::FILE, &horizon(i64::MAX));
    spoil(dir.path(), inventory::FILE, "DELETE FROM reservations");
    let told = told(dir.path(), Moment::Any);
    let words = format!("{order} is confirmed and no goods left the shelf for it");
    assert!(told.contains(&words), "{told}");
    let beside_an_order_of_the_future = format!(
        "UPDATE orders SET id = {future} WHERE id = {NEWEST}; UPDATE outbox SET order_id = {future} WHERE \
         seq = 2; {}",
        horizon(OrderId::first_of(now_ms() + 30 * day).key()),
        future = OrderId::first_of(now_ms() + 30 * day).key(),
    );
    let (dir, _) = sound();
    spoil(dir.path(), orders::FILE, &beside_an_order_of_the_future);
    let audit = check_invariants(dir.path(), Moment::Any).unwrap();
    assert_eq!(audit.violations, Vec::<String>::new(), "the clock was wrong once");
}

#[test]
fn an_index_a_trigger_a_table_or_a_view_that_is_lost_is_told() {
    let lost = [
        (
            orders::FILE,
            "DROP INDEX orders_unfinished",
            "orders.db lacks the index \"orders_unfinished\"",
        ),
        (
            sandbox::FILE,
            "DROP TRIGGER attempt_is_never_removed",
            "sandbox.db lacks the trigger \"attempt_is_never_removed\"",
        ),
        (
            inventory::FILE,
            "DROP TABLE fences",
            "inventory.db lacks the table \"fences\"",
        ),
        (
            sandbox::FILE,
            "DROP VIEW standing_charge",
            "no such table: standing_charge; nothing else could be looked at",
        ),
    ];
    for (file, sql, words) in lost {
        let (told, _) = told_of(file, sql);
        assert!(told.contains(words), "{told}");
    }
}
