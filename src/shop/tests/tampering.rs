//! What the audit must see: each record spoiled alone, as a bug or a hand would.

use rusqlite::Connection;

use super::test_shop::{TestShop, order_of};
use crate::shop::evidence::audit::{Moment, check_invariants};

/// The file, the statement that damages it, and what the audit reports.
const SPOILS: &[(&str, &str, &str)] = &[
    (
        "orders.db",
        "UPDATE orders SET items = replace(items, '450', '1')",
        "its lines do not make that",
    ),
    (
        "orders.db",
        "UPDATE orders SET currency = 'EUR'",
        "is confirmed at 450 EUR",
    ),
    (
        "payments.db",
        "UPDATE payments SET currency = 'EUR'",
        "payments says 450 EUR",
    ),
    (
        "sandbox.db",
        "DROP TRIGGER attempt_is_never_changed; UPDATE attempt SET currency = 'EUR'",
        "its standing charges are [450 EUR",
    ),
    (
        "payments.db",
        "UPDATE payments SET receipt = 'ch_x'",
        "the receipt \"ch_x\"",
    ),
    (
        "orders.db",
        "INSERT INTO outbox (seq, order_id, event, at_ms)
         SELECT max(seq) + 1, 999, 'order.confirmed', 1 FROM outbox",
        "which there is not",
    ),
    (
        "orders.db",
        "UPDATE idempotency_keys SET order_id = order_id + 1",
        "which there is not",
    ),
    (
        "orders.db",
        "UPDATE idempotency_keys SET body_hash = x'00'",
        "a hash of 1 bytes",
    ),
    (
        "orders.db",
        "INSERT OR REPLACE INTO horizon VALUES (1, 9223372036854775807)",
        "the horizon of retention",
    ),
    (
        "inventory.db",
        "DELETE FROM stock WHERE sku = 'espresso-cup'",
        "stock of espresso-cup: there is no such article",
    ),
];

#[tokio::test]
async fn every_damaged_record_is_reported() {
    if super::test_shop::has_no_files(
        "every_damaged_record_is_reported",
        "it spoils records by SQLite's statements; torture moves the databases to files and does the same",
    ) {
        return;
    }
    for (file, spoil, words) in SPOILS {
        let shop = TestShop::open().await;
        let placed = shop
            .place_with_key(&order_of("espresso-cup", 1, "pm_card_visa"), "k")
            .await;
        assert_eq!(placed.status, 201);
        shop.state.orders.settled().await;
        shop.sound();
        let spoiled = Connection::open(shop.dir.path().join(file)).unwrap();
        spoiled.execute_batch(spoil).unwrap();
        assert!(spoiled.total_changes() > 0, "nothing was spoiled: {spoil}");
        for moment in [Moment::Any, Moment::Rest] {
            let found = check_invariants(shop.dir.path(), moment).unwrap().violations;
            assert!(
                found.iter().any(|found| found.contains(words)),
                "{spoil} at {moment:?}: {found:?}"
            );
        }
    }
}
