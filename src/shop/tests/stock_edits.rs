//! Changing articles and counts: patches, adjustments, conditions, and workers of the version before.

use axum::body::Body;
use http::Request;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::test_shop::{TestAnswer, TestShop, order_of};
use crate::shop::inventory;

const CUP: &str = "/inventory/espresso-cup";
const ADJUSTMENTS: &str = "/inventory/espresso-cup/adjustments";

async fn send(shop: &TestShop, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TestAnswer {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    shop.send(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

async fn patch(shop: &TestShop, body: &Value) -> TestAnswer {
    let merge_patch = [("content-type", "application/merge-patch+json")];
    send(shop, "PATCH", CUP, &merge_patch, &body.to_string()).await
}

async fn adjust(shop: &TestShop, delta: i64, key: &str) -> TestAnswer {
    let body = json!({"delta": delta, "reason": "a delivery"}).to_string();
    send(shop, "POST", ADJUSTMENTS, &[("idempotency-key", key)], &body).await
}

fn etag(answer: &TestAnswer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

fn failed(answer: &TestAnswer) -> (u16, String) {
    answer.problem()
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_no_count() {
    let shop = TestShop::open().await;
    let before = shop.get(CUP).await.json();
    let patched = patch(&shop, &json!({"name": "Cup", "unit_price": {"amount": 500}})).await;
    assert_eq!(patched.status.as_u16(), 200, "{patched:?}");
    let mut expected = before.clone();
    expected["name"] = json!("Cup");
    expected["unit_price"]["amount"] = json!(500);
    assert_eq!(patched.json(), expected);
    let read = shop.get(CUP).await;
    assert_eq!((read.json(), etag(&read)), (expected.clone(), etag(&patched)));
    let nothing = patch(&shop, &json!({})).await;
    assert_eq!((nothing.status.as_u16(), nothing.json()), (200, expected));
    shop.sound();
}

#[tokio::test]
async fn a_patch_that_cannot_be_applied_says_why_and_changes_nothing() {
    let shop = TestShop::open().await;
    let before = shop.get(CUP).await.json();
    for (body, expected) in [
        (json!({"name": null}), "invalid_name"),
        (json!({"name": "  "}), "invalid_name"),
        (json!({"name": "x".repeat(201)}), "invalid_name"),
        (json!({"unit_price": null}), "invalid_unit_price"),
        (json!({"unit_price": {"currency": null}}), "invalid_unit_price"),
        (json!({"unit_price": {"currency": "usd"}}), "invalid_unit_price"),
        (json!({"unit_price": {"amount": -1}}), "invalid_unit_price"),
        (
            json!({"unit_price": {"amount": 1_000_000_000_001_u64}}),
            "invalid_unit_price",
        ),
        (json!({"on_sale": null}), "invalid_on_sale"),
        (json!({"on_hand": 7}), "invalid_on_hand"),
        (json!({"on_hand": null}), "invalid_on_hand"),
        (json!({"colour": "red"}), "invalid_body"),
        (json!({"sku": "other"}), "invalid_body"),
        (json!({"on_sale": "yes"}), "invalid_body"),
        (json!([{"name": "x"}]), "invalid_body"),
        (json!("name"), "invalid_body"),
        (json!(null), "invalid_body"),
    ] {
        assert_eq!(failed(&patch(&shop, &body).await), code(422, expected), "{body}");
    }
    assert_eq!(shop.get(CUP).await.json(), before);
    let wrong = send(
        &shop,
        "PATCH",
        CUP,
        &[("content-type", "application/json-patch+json")],
        "[]",
    )
    .await;
    assert_eq!(failed(&wrong), code(415, "unsupported_media_type"));
    assert_eq!(
        wrong.headers["accept-patch"],
        "application/merge-patch+json, application/json"
    );
    let nowhere = send(&shop, "PATCH", "/inventory/nothing", &[], "{}").await;
    assert_eq!(failed(&nowhere), code(404, "sku_not_found"));
}

#[tokio::test]
async fn an_article_off_sale_cannot_be_ordered_and_what_is_held_for_orders_goes_on() {
    let shop = TestShop::open().await;
    let order = order_of("espresso-cup", 2, "pm_card_visa");
    let held = hold(&shop, 3).await;
    let off = patch(&shop, &json!({"on_sale": false})).await;
    assert_eq!(
        (off.json()["on_sale"].clone(), off.json()["reserved"].clone()),
        (json!(false), json!(3))
    );
    let refused = shop.place_with_key(&order, "k").await;
    assert_eq!(
        (failed(&refused), refused.json()["sku"].clone()),
        (code(409, "not_on_sale"), json!("espresso-cup"))
    );
    held.commit(&shop).await;
    assert_eq!(
        shop.get(CUP).await.json()["reserved"],
        0,
        "the goods left the shelf"
    );
    let put = shop
        .put(
            "espresso-cup",
            &json!({"name": "Cup", "unit_price": {"amount": 5, "currency": "USD"}, "on_hand": 99_997}),
        )
        .await;
    assert_eq!(
        put.json()["on_sale"],
        false,
        "a PUT that does not say so sells nothing: {put:?}"
    );
    patch(&shop, &json!({"on_sale": true})).await;
    let placed = shop.place_with_key(&order, "k").await;
    assert_eq!(
        placed.status.as_u16(),
        201,
        "a passing no is not kept under the key: {placed:?}"
    );
}

/// Goods that are held for an order of nobody.
struct HeldGoods(crate::shop::contract::ClaimToken);

async fn hold(shop: &TestShop, quantity: u32) -> HeldGoods {
    use crate::shop::contract::{ClaimToken, CommandOutcome, Inventory, OrderId, RequestedItem};
    let wanted = RequestedItem {
        sku: "espresso-cup".to_owned().try_into().unwrap(),
        quantity,
    };
    let lines = shop.state.inventory.quote(vec![wanted]).await.unwrap();
    let token = ClaimToken {
        order: OrderId::at(1_795_363_200_123, 7),
        claim_no: 1,
        life: super::test_shop::life(1),
    };
    let reserved = shop.state.inventory.reserve(token, lines.into()).await;
    assert_eq!(reserved, CommandOutcome::Done);
    HeldGoods(token)
}

impl HeldGoods {
    async fn commit(self, shop: &TestShop) {
        use crate::shop::contract::{CommandOutcome, Inventory};
        assert_eq!(shop.state.inventory.commit(self.0).await, CommandOutcome::Done);
    }
}

#[tokio::test]
async fn an_adjustment_counts_once_however_often_it_is_sent() {
    let shop = TestShop::open().await;
    let before = shop.get(CUP).await.json()["on_hand"].as_i64().unwrap();
    let made = adjust(&shop, 12, "delivery-1").await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    assert!(!made.headers.contains_key("idempotent-replayed"));
    assert_eq!(made.json()["on_hand"], before + 12);
    adjust(&shop, -5, "breakage-1").await;
    let again = adjust(&shop, 12, "delivery-1").await;
    assert_eq!((again.status, &again.bytes), (made.status, &made.bytes));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(
        failed(&adjust(&shop, 13, "delivery-1").await),
        code(422, "idempotency_key_reused")
    );
    assert_eq!(shop.get(CUP).await.json()["on_hand"], before + 7);
    let list = shop.get(&format!("{ADJUSTMENTS}?limit=1")).await.json();
    assert_eq!(list["items"][0]["delta"], -5);
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = shop.get(&format!("{ADJUSTMENTS}?cursor={cursor}")).await.json();
    assert_eq!(rest, json!({"items": [made.json()], "next_cursor": null}));
    shop.sound();
}

#[tokio::test]
async fn an_adjustment_that_cannot_be_made_says_why_and_keeps_no_key() {
    let shop = TestShop::open().await;
    let on_hand = shop.get(CUP).await.json()["on_hand"].as_i64().unwrap();
    hold(&shop, 10).await;
    for (delta, expected) in [
        (-(on_hand - 9), code(409, "on_hand_below_reserved")),
        (-(on_hand + 1), code(409, "on_hand_below_reserved")),
        (1_000_000_000_000, code(409, "on_hand_too_large")),
        (1_000_000_000_001, code(422, "invalid_delta")),
        (i64::MAX, code(422, "invalid_delta")),
        (i64::MIN, code(422, "invalid_delta")),
        (0, code(422, "invalid_delta")),
    ] {
        assert_eq!(failed(&adjust(&shop, delta, "k").await), expected, "{delta}");
    }
    let key = [("idempotency-key", "k")];
    for (body, expected) in [
        (r#"{"delta": 1e30, "reason": "r"}"#, code(422, "invalid_body")),
        (
            r#"{"delta": 99999999999999999999, "reason": "r"}"#,
            code(422, "invalid_body"),
        ),
        (r#"{"delta": 1.5, "reason": "r"}"#, code(422, "invalid_body")),
        (r#"{"delta": 1}"#, code(422, "invalid_body")),
        (r#"{"delta": 1, "reason": " "}"#, code(422, "invalid_reason")),
        (r#"{"delta": 1, "reason": "a\nb"}"#, code(422, "invalid_reason")),
        ("{", code(400, "malformed_json")),
    ] {
        let answer = send(&shop, "POST", ADJUSTMENTS, &key, body).await;
        assert_eq!(failed(&answer), expected, "{body}");
    }
    let good = r#"{"delta": 1, "reason": "r"}"#;
    let keyless = send(&shop, "POST", ADJUSTMENTS, &[], good).await;
    assert_eq!(failed(&keyless), code(400, "idempotency_key_required"));
    let nowhere = send(&shop, "POST", "/inventory/nothing/adjustments", &key, good).await;
    assert_eq!(failed(&nowhere), code(404, "sku_not_found"));
    assert_eq!(
        failed(&shop.get("/inventory/nothing/adjustments").await),
        code(404, "sku_not_found")
    );
    let last = adjust(&shop, -(on_hand - 10), "k").await;
    assert_eq!(
        (last.status.as_u16(), last.json()["on_hand"].clone()),
        (201, json!(10))
    );
    assert_eq!(shop.get(CUP).await.json()["available"], 0);
    assert_eq!(shop.audit().violations.len(), 1, "the held goods are of no order");
}

#[tokio::test]
async fn a_count_is_replaced_only_by_a_client_that_says_which_one_it_has_read() {
    let shop = TestShop::open().await;
    let body = |on_hand: u64| {
        json!({"name": "Cup", "unit_price": {"amount": 5, "currency": "USD"}, "on_hand": on_hand}).to_string()
    };
    let read = shop.get(CUP).await;
    let on_hand = read.json()["on_hand"].as_u64().unwrap();
    let put =
        async |headers: &[(&str, &str)], on_hand| send(&shop, "PUT", CUP, headers, &body(on_hand)).await;
    for headers in [
        &[][..],
        &[("if-match", "*")],
        &[("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT")],
    ] {
        let refused = put(headers, on_hand + 1).await;
        assert_eq!(
            failed(&refused),
            code(428, "precondition_required"),
            "{headers:?}"
        );
    }
    assert_eq!(
        put(&[], on_hand).await.status.as_u16(),
        200,
        "the count stays as it is"
    );
    let old = etag(&read);
    let stale = put(&[("if-match", &old)], on_hand + 1).await;
    assert_eq!(failed(&stale), code(412, "precondition_failed"));
    let now = etag(&stale);
    assert_eq!(now, etag(&shop.get(CUP).await), "a 412 tells the tag as it is");
    let counted = put(&[("if-match", &now)], on_hand + 1).await;
    assert_eq!(
        (counted.status.as_u16(), counted.json()["on_hand"].clone()),
        (200, json!(on_hand + 1))
    );
    let now = etag(&counted);
    shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    let sold = put(&[("if-match", &now)], on_hand + 1).await;
    assert_eq!(
        failed(&sold),
        code(412, "precondition_failed"),
        "a sale changes the tag"
    );
    let exists = put(&[("if-none-match", "*")], on_hand).await;
    assert_eq!(failed(&exists), code(412, "precondition_failed"));
    let new = send(
        &shop,
        "PUT",
        "/inventory/new",
        &[("if-none-match", "*")],
        &body(1),
    )
    .await;
    assert_eq!(new.status.as_u16(), 201);
    let absent = send(&shop, "PUT", "/inventory/absent", &[("if-match", "*")], &body(1)).await;
    assert_eq!(failed(&absent), code(412, "precondition_failed"));
    shop.sound();
}

#[tokio::test]
async fn conditions_count_on_every_route() {
    let shop = TestShop::open().await;
    let placed = shop
        .place(&order_of("espresso-cup", 1, "pm_card_visa"))
        .await
        .json();
    let order = format!("/orders/{}", placed["id"].as_str().unwrap());
    let payment = format!(
        "/payments/pay_{}",
        placed["id"].as_str().unwrap().trim_start_matches("ord_")
    );
    let timeline = format!("{order}/timeline");
    adjust(&shop, 1, "k").await;
    let paths = [
        CUP,
        ADJUSTMENTS,
        "/inventory",
        "/orders",
        &order,
        &timeline,
        "/payments",
        &payment,
    ];
    for path in paths {
        let tag = etag(&shop.get(path).await);
        let known = send(&shop, "GET", path, &[("if-none-match", &tag)], "").await;
        assert_eq!(
            (known.status.as_u16(), known.bytes.len(), etag(&known)),
            (304, 0, tag.clone()),
            "{path}"
        );
        for (name, value, status) in [
            ("if-match", tag.as_str(), 200),
            ("if-match", "\"other\"", 412),
            ("if-none-match", "\"other\"", 200),
            ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 412),
            ("if-unmodified-since", "long ago", 400),
            ("if-match", "no tag", 400),
        ] {
            let answer = send(&shop, "GET", path, &[(name, value)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{path} {name}: {value}");
        }
    }
    let future = [("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
    for path in [CUP, &order, &payment] {
        assert_eq!(
            send(&shop, "GET", path, &future, "").await.status.as_u16(),
            200,
            "{path}"
        );
    }
    let body = order_of("espresso-cup", 1, "pm_card_visa").to_string();
    for header in [("if-match", "*"), ("if-none-match", "*"), future[0]] {
        let refused = send(&shop, "POST", "/orders", &[header], &body).await;
        assert_eq!(failed(&refused), code(412, "precondition_failed"), "{header:?}");
        let senseless = send(&shop, "POST", "/orders", &[header], "{}").await;
        assert_eq!(senseless.status.as_u16(), 422, "{senseless:?}");
    }
    for (method, path, body) in [
        ("PATCH", CUP, r#"{"name": "x"}"#),
        ("POST", ADJUSTMENTS, r#"{"delta": 1, "reason": "r"}"#),
    ] {
        let headers = [("if-match", "\"other\""), ("idempotency-key", "other")];
        let refused = send(&shop, method, path, &headers, body).await;
        assert_eq!(failed(&refused), code(412, "precondition_failed"), "{method}");
    }
    shop.sound();
}

/// The statements with which the program before changes stock.
const BEFORE: &str = "
    INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received)
    VALUES ('mug', 'Mug', 5, 'USD', 7, 0, 7)
    ON CONFLICT (sku) DO UPDATE SET name = 'Mug', amount = 5, currency = 'USD',
        received = received + 7 - on_hand, on_hand = 7;
    UPDATE stock SET reserved = reserved + 2 WHERE sku = 'mug' AND on_hand - reserved >= 2;
    UPDATE stock SET reserved = reserved - 2 WHERE sku = 'mug';";

#[tokio::test]
async fn workers_of_the_version_before_go_on_beside_this_one() {
    if super::test_shop::has_no_files(
        "workers_of_the_version_before_go_on_beside_this_one",
        "it is about workers of the version before at SQLite's files (see database_versions.rs)",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    adjust(&shop, 3, "k").await;
    let other = Connection::open(shop.dir.path().join(inventory::FILE)).unwrap();
    other.execute_batch(BEFORE).unwrap();
    let mug = shop.get("/inventory/mug").await.json();
    assert_eq!((&mug["on_hand"], &mug["on_sale"]), (&json!(7), &json!(true)));
    let future = [("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
    let unknown = send(&shop, "GET", "/inventory/mug", &future, "").await;
    assert_eq!(
        failed(&unknown),
        code(412, "precondition_failed"),
        "nobody knows when it changed"
    );
    let body = json!({"delta": -7, "reason": "sold out"}).to_string();
    let path = "/inventory/mug/adjustments";
    send(&shop, "POST", path, &[("idempotency-key", "m")], &body).await;
    other.execute_batch(BEFORE).unwrap();
    assert_eq!(shop.get("/inventory/mug").await.json()["on_hand"], 7);
    shop.sound();
}

#[tokio::test]
async fn old_adjustments_are_removed_and_the_audit_agrees() {
    let shop = TestShop::open().await;
    for number in 0..3 {
        adjust(&shop, 2, &format!("k{number}")).await;
    }
    let window = crate::shop::contract::SweepWindow {
        after: crate::shop::contract::OrderId::from_key(-1),
        before: crate::shop::contract::OrderId::first_of(shop.clock.now_ms() + 60_000),
        kept: [].into(),
    };
    crate::shop::contract::Participant::forget(&shop.state.inventory, window)
        .await
        .unwrap();
    let list = shop.get(ADJUSTMENTS).await.json();
    assert_eq!(
        list["items"].as_array().unwrap().len(),
        1,
        "the latest keeps its number: {list}"
    );
    shop.sound();
    let next = adjust(&shop, 2, "k0").await;
    assert_eq!(
        (next.status.as_u16(), next.json()["id"].clone()),
        (201, json!("adj_4")),
        "{next:?}"
    );
}
