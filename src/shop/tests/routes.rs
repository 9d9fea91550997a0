//! Every status code of the routes.

use serde_json::json;

use super::test_shop::{TestShop, order_of};

#[tokio::test]
async fn a_good_order_is_201_with_location_and_the_documented_body() {
    let shop = TestShop::open().await;
    let answer = shop.place(&order_of("espresso-cup", 2, "pm_card_visa")).await;
    let body = answer.json();
    assert_eq!(answer.status, 201);
    let location = format!("/orders/{}", body["id"].as_str().unwrap());
    assert_eq!(answer.headers["location"], location);
    let usd = |amount: u64| json!({"amount": amount, "currency": "USD"});
    assert_eq!(
        body["items"],
        json!([{"sku": "espresso-cup", "quantity": 2, "unit_price": usd(450)}])
    );
    assert_eq!(
        (&body["status"], &body["customer_id"], &body["total"]),
        (&json!("confirmed"), &json!("c-1"), &usd(900))
    );
    assert!(body["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(body.as_object().unwrap().len(), 6);
    assert_eq!(shop.get(&location).await.bytes, answer.bytes);
    let cup = shop.get("/inventory/espresso-cup").await.json();
    assert_eq!(
        cup,
        json!({"sku": "espresso-cup", "name": "Espresso cup, 80 ml", "unit_price": usd(450),
        "on_hand": 99_998, "reserved": 0, "available": 99_998, "on_sale": true})
    );
    shop.sound();
}

#[tokio::test]
async fn an_order_of_too_much_is_409_and_can_be_read_as_rejected() {
    let shop = TestShop::open().await;
    let answer = shop.place(&order_of("lever-machine", 4, "pm_card_visa")).await;
    assert_eq!(answer.problem(), (409, "out_of_stock".to_owned()));
    let problem = answer.json();
    assert_eq!(
        (&problem["sku"], &problem["requested"], &problem["available"]),
        (&json!("lever-machine"), &json!(4), &json!(3))
    );
    let order = shop
        .get(&format!("/orders/{}", problem["order_id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (&order["status"], &order["rejection"]["code"]),
        (&json!("rejected"), &json!("out_of_stock"))
    );
    assert_eq!(shop.sound().rejected, 1);
}

#[tokio::test]
async fn of_several_items_all_are_held_or_none() {
    let shop = TestShop::open().await;
    let body = json!({"customer_id": "c-1", "payment": {"method": "pm_card_visa"},
        "items": [{"sku": "espresso-cup", "quantity": 5}, {"sku": "lever-machine", "quantity": 4}]});
    assert_eq!(shop.place(&body).await.problem().0, 409);
    assert_eq!(shop.get("/inventory/espresso-cup").await.json()["reserved"], 0);
    shop.sound();
}

#[tokio::test]
async fn a_declined_card_is_402_and_the_stock_is_free_again() {
    let shop = TestShop::open().await;
    let answer = shop
        .place(&order_of(
            "lever-machine",
            3,
            "pm_card_chargeDeclinedInsufficientFunds",
        ))
        .await;
    assert_eq!(answer.problem(), (402, "payment_declined".to_owned()));
    assert_eq!(answer.json()["decline_code"], "insufficient_funds");
    let order = answer.json()["order_id"].as_str().unwrap().to_owned();
    let payments = shop.get(&format!("/payments?order_id={order}")).await.json();
    assert_eq!(payments["items"][0]["status"], "declined");
    assert_eq!(shop.get("/inventory/lever-machine").await.json()["available"], 3);
    let again = shop.place(&order_of("lever-machine", 3, "pm_card_visa")).await;
    assert_eq!(again.status, 201);
    shop.sound();
}

#[tokio::test]
async fn an_unknown_card_is_declined_by_name() {
    let answer = TestShop::open()
        .await
        .place(&order_of("espresso-cup", 1, "cash"))
        .await;
    assert_eq!(
        (answer.problem().0, &answer.json()["decline_code"]),
        (402, &json!("invalid_payment_method"))
    );
}

#[tokio::test]
async fn a_payment_stands_for_a_confirmed_order() {
    let shop = TestShop::open().await;
    let order = shop
        .place(&order_of("espresso-cup", 2, "pm_card_visa"))
        .await
        .json()["id"]
        .clone();
    let list = shop
        .get(&format!("/payments?order_id={}", order.as_str().unwrap()))
        .await
        .json();
    let payment = &list["items"][0];
    assert_eq!(
        (&payment["status"], &payment["order_id"]),
        (&json!("succeeded"), &order)
    );
    assert_eq!(
        (&payment["amount"], &list["next_cursor"]),
        (&json!({"amount": 900, "currency": "USD"}), &json!(null))
    );
    let one = shop
        .get(&format!("/payments/{}", payment["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(&one, payment);
    assert_eq!(shop.get("/payments").await.json()["items"][0], one);
}

#[tokio::test]
async fn the_timeline_tells_every_step_with_its_worker() {
    let shop = TestShop::open().await;
    let told = async |method: &str| {
        let answer = shop.place(&order_of("espresso-cup", 1, method)).await.json();
        let id = answer
            .get("order_id")
            .unwrap_or(&answer["id"])
            .as_str()
            .unwrap()
            .to_owned();
        let steps = shop.get(&format!("/orders/{id}/timeline")).await.json()["items"]
            .as_array()
            .unwrap()
            .clone();
        assert!(
            steps
                .iter()
                .all(|step| step["worker"] == "1/0/1" && step["at"].as_str().unwrap().ends_with('Z'))
        );
        let line = |step: &serde_json::Value| {
            format!(
                "{} {}",
                step["step"].as_str().unwrap(),
                step["outcome"].as_str().unwrap()
            )
        };
        steps.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        told("pm_card_visa").await,
        [
            "place done",
            "reserve done",
            "charge done",
            "commit done",
            "confirm done"
        ]
    );
    let declined = [
        "place done",
        "reserve done",
        "charge refused",
        "release done",
        "reject done",
    ];
    assert_eq!(told("pm_card_chargeDeclined").await, declined);
}

#[tokio::test]
async fn lists_have_pages() {
    let shop = TestShop::open().await;
    for _ in 0..3 {
        shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    }
    for path in [
        "/orders?customer_id=c-1&",
        "/orders?",
        "/payments?",
        "/inventory?",
    ] {
        let first = shop.get(&format!("{path}limit=2")).await.json();
        assert_eq!(first["items"].as_array().unwrap().len(), 2, "{path}");
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = shop.get(&format!("{path}limit=2&cursor={cursor}")).await.json();
        assert!(
            !second["items"].as_array().unwrap().contains(&first["items"][1]),
            "{path}"
        );
        for other in ["/orders?", "/payments?", "/inventory?"] {
            let own = path.starts_with(other);
            let answer = shop.get(&format!("{other}cursor={cursor}")).await;
            assert_eq!(
                answer.status.as_u16(),
                if own { 200 } else { 400 },
                "{path}'s cursor at {other}"
            );
        }
    }
    assert_eq!(
        shop.get("/orders?customer_id=nobody").await.json(),
        json!({"items": [], "next_cursor": null})
    );
    for (query, code) in [
        ("limit=0", "invalid_limit"),
        ("limit=101", "invalid_limit"),
        ("limit=x", "invalid_limit"),
        ("cursor=zz", "invalid_cursor"),
        ("cursor=00", "invalid_cursor"),
        ("page=2", "invalid_query"),
    ] {
        for path in ["/orders", "/payments", "/inventory"] {
            assert_eq!(
                shop.get(&format!("{path}?{query}")).await.problem(),
                (400, code.to_owned()),
                "{path}?{query}"
            );
        }
    }
}

#[tokio::test]
async fn put_creates_and_sets_but_never_below_what_is_held() {
    let shop = TestShop::open().await;
    let article = |on_hand: i64| json!({"name": "Mug", "unit_price": {"amount": 5, "currency": "USD"}, "on_hand": on_hand});
    let created = shop.put("mug", &article(3)).await;
    assert_eq!(
        (created.status.as_u16(), &created.headers["location"]),
        (201, &"/inventory/mug".parse().unwrap())
    );
    let set = shop.put_as_read("mug", &article(7)).await;
    assert_eq!((set.status.as_u16(), &set.json()["available"]), (200, &json!(7)));
    for (body, code) in [
        (
            json!({"name": "", "unit_price": {"amount": 5, "currency": "USD"}, "on_hand": 1}),
            "invalid_name",
        ),
        (
            json!({"name": "x", "unit_price": {"amount": -5, "currency": "USD"}, "on_hand": 1}),
            "invalid_unit_price",
        ),
        (
            json!({"name": "x", "unit_price": {"amount": 5, "currency": "usd"}, "on_hand": 1}),
            "invalid_unit_price",
        ),
        (article(-1), "invalid_on_hand"),
        (json!({"name": "x"}), "invalid_body"),
    ] {
        assert_eq!(
            shop.put("mug", &body).await.problem(),
            (422, code.to_owned()),
            "{body}"
        );
    }
    assert_eq!(
        shop.put("a%20mug", &article(1)).await.problem(),
        (422, "invalid_sku".to_owned())
    );
    shop.sound();
    let held = crate::shop::contract::RequestedItem {
        sku: "mug".to_owned().try_into().unwrap(),
        quantity: 5,
    };
    hold(&shop, held).await;
    let below = shop.put_as_read("mug", &article(4)).await;
    assert_eq!(
        (below.problem(), &below.json()["reserved"]),
        ((409, "on_hand_below_reserved".to_owned()), &json!(5))
    );
    assert_eq!(shop.put_as_read("mug", &article(5)).await.json()["available"], 0);
}

async fn hold(shop: &TestShop, wanted: crate::shop::contract::RequestedItem) {
    use crate::shop::contract::{ClaimToken, CommandOutcome, Inventory, OrderId};
    let lines = shop.state.inventory.quote(vec![wanted]).await.unwrap();
    let token = ClaimToken {
        order: OrderId::at(1_795_363_200_123, 7),
        claim_no: 1,
        life: super::test_shop::life(1),
    };
    assert_eq!(
        shop.state.inventory.reserve(token, lines.into()).await,
        CommandOutcome::Done
    );
}
