//! Bugs that are planted in the databases, one for each rule that keeps orders right: the tests of the rule
//! must fail then. In a file the bug is a trigger that undoes what the rule relies on; at PostgreSQL the
//! function that has the rule is replaced by one without it.

use super::crashes::{a_lower_claim_is_refused, a_tombstone_refuses_the_late_reserve};
use super::test_shop::{TestShop, order_of};
use crate::shop::{inventory, orders};

/// A bug.
struct Planted {
    /// The file, and the trigger that is put into it.
    in_file: (&'static str, &'static str),
    /// The service, the function, and what is replaced in it by what.
    #[cfg(feature = "postgres")]
    at_postgres: (&'static str, &'static str, (&'static str, &'static str)),
}

impl Planted {
    async fn plant(&self, shop: &TestShop) {
        #[cfg(feature = "postgres")]
        if super::postgres::is_used() {
            let (service, function, replaced) = self.at_postgres;
            return super::postgres::replace_function(shop, service, function, replaced).await;
        }
        let (file, trigger) = self.in_file;
        let database = rusqlite::Connection::open(shop.dir.path().join(file)).unwrap();
        database.execute_batch(trigger).unwrap();
    }
}

/// Whether the test of a rule fails once the bug is there, and does not before.
async fn is_found(planted: Planted, rule: impl AsyncFn(&TestShop) + Copy) -> bool {
    rule(&TestShop::open().await).await;
    let shop = TestShop::open().await;
    planted.plant(&shop).await;
    let failed = std::panic::AssertUnwindSafe(rule(&shop));
    futures_util::FutureExt::catch_unwind(failed).await.is_err()
}

#[tokio::test]
async fn an_unchecked_claim_is_found() {
    let planted = Planted {
        in_file: (
            inventory::FILE,
            "CREATE TRIGGER planted AFTER UPDATE ON reservations WHEN new.claim_no > 1
             BEGIN UPDATE reservations SET claim_no = 1 WHERE order_id = new.order_id; END",
        ),
        #[cfg(feature = "postgres")]
        at_postgres: (
            "inventory",
            "end_reservation_1",
            ("r.claim_no <= p_claim AND ", ""),
        ),
    };
    assert!(is_found(planted, a_lower_claim_is_refused).await);
}

#[tokio::test]
async fn a_dropped_tombstone_is_found() {
    let planted = Planted {
        in_file: (
            inventory::FILE,
            "CREATE TRIGGER planted AFTER INSERT ON reservations WHEN new.state = 50
             BEGIN DELETE FROM reservations WHERE order_id = new.order_id; END",
        ),
        #[cfg(feature = "postgres")]
        at_postgres: (
            "inventory",
            "release_1",
            (
                "    IF FOUND THEN\n",
                "    IF FOUND THEN\n        DELETE FROM reservations WHERE order_id = p_order;\n",
            ),
        ),
    };
    assert!(is_found(planted, a_tombstone_refuses_the_late_reserve).await);
}

/// The rule of keys: a key stands for one order.
async fn a_key_stands_for_one_order(shop: &TestShop) {
    let order = order_of("espresso-cup", 1, "pm_card_visa");
    let id = async || shop.place_with_key(&order, "k").await.json()["id"].clone();
    assert_eq!(id().await, id().await);
    assert_eq!(shop.sound().confirmed, 1);
}

#[tokio::test]
async fn a_key_that_is_used_twice_is_found() {
    let planted = Planted {
        in_file: (
            orders::FILE,
            "CREATE TRIGGER planted AFTER INSERT ON idempotency_keys
             BEGIN DELETE FROM idempotency_keys WHERE order_id = new.order_id; END",
        ),
        #[cfg(feature = "postgres")]
        at_postgres: (
            "orders",
            "place_1",
            ("(v_id, p_key, p_hash)", "(v_id, p_key || v_id, p_hash)"),
        ),
    };
    assert!(is_found(planted, a_key_stands_for_one_order).await);
}
