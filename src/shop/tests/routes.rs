//! Every status code of the routes.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::test_shop::{TestShop, order_of, post};

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
        "on_hand": 99_998, "reserved": 0, "available": 99_998})
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
    let set = shop.put("mug", &article(7)).await;
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
    let below = shop.put("mug", &article(4)).await;
    assert_eq!(
        (below.problem(), &below.json()["reserved"]),
        ((409, "on_hand_below_reserved".to_owned()), &json!(5))
    );
    assert_eq!(shop.put("mug", &article(5)).await.json()["available"], 0);
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

#[tokio::test]
async fn what_is_not_there_is_404_and_what_cannot_be_asked_is_405() {
    let shop = TestShop::open().await;
    for (path, code) in [
        ("/nowhere", "not_found"),
        ("/orders/x", "order_not_found"),
        ("/orders/ord_0000000000001", "order_not_found"),
        ("/orders/ord_0000000000001/timeline", "order_not_found"),
        ("/orders/%ff", "order_not_found"),
        ("/inventory/no-such-cup", "sku_not_found"),
        ("/inventory/a%20b", "sku_not_found"),
        ("/payments/pay_0000000000001", "payment_not_found"),
    ] {
        assert_eq!(shop.get(path).await.problem(), (404, code.to_owned()), "{path}");
    }
    let wrong = shop
        .send(Request::delete("/orders").body(Body::empty()).unwrap())
        .await;
    assert_eq!(wrong.problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(wrong.headers["allow"], "POST,GET,HEAD");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_told_by_code() {
    let shop = TestShop::open().await;
    let with = |sku: &str, quantity: serde_json::Value| json!({"customer_id": "c-1", "items": [{"sku": sku, "quantity": quantity}], "payment": {"method": "pm_card_visa"}});
    let item = json!({"sku": "espresso-cup", "quantity": 1});
    let order = |items: serde_json::Value| json!({"customer_id": "c-1", "items": items, "payment": {"method": "pm_card_visa"}});
    for (body, status, code) in [
        ("{".to_owned(), 400, "malformed_json"),
        (String::new(), 400, "malformed_json"),
        ("[1]".to_owned(), 422, "invalid_body"),
        (json!({"customer_id": "c-1"}).to_string(), 422, "invalid_body"),
        (
            order(json!([item])).to_string().replace("payment", "paymnet"),
            422,
            "invalid_body",
        ),
        (with("espresso-cup", json!("2")).to_string(), 422, "invalid_body"),
        (with("espresso-cup", json!(1.5)).to_string(), 422, "invalid_body"),
        (
            with("espresso-cup", json!(0)).to_string(),
            422,
            "invalid_quantity",
        ),
        (
            with("espresso-cup", json!(-1)).to_string(),
            422,
            "invalid_quantity",
        ),
        (
            with("espresso-cup", json!(10_001)).to_string(),
            422,
            "invalid_quantity",
        ),
        (with("an espresso cup", json!(1)).to_string(), 422, "invalid_sku"),
        (with("no-such-cup", json!(1)).to_string(), 422, "unknown_sku"),
        (with("..", json!(1)).to_string(), 422, "invalid_sku"),
        (
            json!(["c-1", [item], ["pm_card_visa"]]).to_string(),
            422,
            "invalid_body",
        ),
        (
            order(json!([["espresso-cup", 1]])).to_string(),
            422,
            "invalid_body",
        ),
        (order(json!([])).to_string(), 422, "invalid_items"),
        (order(json!(vec![&item; 51])).to_string(), 422, "invalid_items"),
        (order(json!([item, item])).to_string(), 422, "duplicate_item"),
        (
            order(json!([item])).to_string().replace("c-1", "c 1"),
            422,
            "invalid_customer_id",
        ),
        (
            order(json!([item])).to_string().replace("pm_card_visa", ""),
            422,
            "invalid_payment_method",
        ),
    ] {
        assert_eq!(
            shop.send(post(body.clone(), None)).await.problem(),
            (status, code.to_owned()),
            "{body}"
        );
    }
    let unknown = shop
        .send(post(
            order(json!([item])).to_string().replace("payment", "paymnet"),
            None,
        ))
        .await;
    assert!(
        unknown.json()["detail"].as_str().unwrap().contains("paymnet"),
        "the field is named"
    );
    assert_eq!(shop.sound().rejected, 0);
}

/// What cannot be understood is named as what it is: compressed, in another encoding, or no text at all.
#[tokio::test]
async fn a_body_that_is_no_plain_json_is_named_as_what_it_is() {
    let shop = TestShop::open().await;
    let order = order_of("espresso-cup", 1, "pm_card_visa").to_string();
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| order.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let with_mark = |mark: &[u8], text: &[u8]| [mark, text].concat();
    let gzip = with_mark(b"\x1f\x8b\x08\0", b"\xab\x56");
    let json = "application/json";
    /// Content type, body, content encoding; status, code, and what the explanation says.
    type Case<'a> = (&'a str, &'a [u8], &'a str, u16, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (json, &gzip, "gzip", 415, "unsupported_content_encoding", "gzip"),
        (
            json,
            order.as_bytes(),
            "gzip, br",
            415,
            "unsupported_content_encoding",
            "gzip, br",
        ),
        (json, order.as_bytes(), "identity", 201, "", ""),
        (json, &gzip, "", 415, "unsupported_content_encoding", "gzip"),
        (
            json,
            b"\x28\xb5\x2f\xfd\x04",
            "",
            415,
            "unsupported_content_encoding",
            "zstd",
        ),
        (
            json,
            &utf16(u16::to_le_bytes),
            "",
            400,
            "malformed_json",
            "UTF-16",
        ),
        (
            json,
            &utf16(u16::to_be_bytes),
            "",
            400,
            "malformed_json",
            "UTF-16",
        ),
        (
            json,
            &with_mark(b"\xff\xfe", &utf16(u16::to_le_bytes)),
            "",
            400,
            "malformed_json",
            "UTF-16",
        ),
        (
            json,
            &with_mark(b"\xfe\xff", &utf16(u16::to_be_bytes)),
            "",
            400,
            "malformed_json",
            "UTF-16",
        ),
        (
            json,
            &with_mark(b"\xef\xbb\xbf", order.as_bytes()),
            "",
            400,
            "malformed_json",
            "byte order mark",
        ),
        (
            json,
            b"{\"customer_id\": \"caf\xe9\"}",
            "",
            400,
            "malformed_json",
            "not UTF-8 (at byte 21)",
        ),
        (json, b"", "", 400, "malformed_json", "the body is empty"),
        (json, b" \r\n ", "", 400, "malformed_json", "the body is empty"),
        (
            "application/json; charset=utf-8",
            order.as_bytes(),
            "",
            201,
            "",
            "",
        ),
        (
            "application/json;charset=\"UTF-8\"",
            order.as_bytes(),
            "",
            201,
            "",
            "",
        ),
        (
            "application/json; charset=utf-16",
            order.as_bytes(),
            "",
            415,
            "unsupported_media_type",
            "utf-16",
        ),
        (
            "",
            order.as_bytes(),
            "",
            415,
            "unsupported_media_type",
            "no Content-Type",
        ),
    ];
    for (content_type, body, encoding, status, code, words) in cases {
        let mut request = Request::post("/orders");
        for (name, value) in [("content-type", content_type), ("content-encoding", encoding)] {
            if !value.is_empty() {
                request = request.header(name, *value);
            }
        }
        let answer = shop.send(request.body(Body::from(body.to_vec())).unwrap()).await;
        let what = format!(
            "{content_type:?} {encoding:?} {:?}",
            String::from_utf8_lossy(body)
        );
        if *status == 201 {
            assert_eq!(answer.status, 201, "{what}: {}", answer.json());
            continue;
        }
        assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{what}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{what}: {detail}");
        if *code == "unsupported_content_encoding" {
            assert_eq!(answer.headers["accept-encoding"], "identity", "{what}");
        }
    }
}

/// Nothing of the client's is sent back at length.
#[tokio::test]
async fn an_error_echoes_no_more_than_a_bound() {
    let shop = TestShop::open().await;
    let long = "x".repeat(500_000);
    let json = |body: String| post(body, None);
    let get = |path: String| Request::get(path).body(Body::empty()).unwrap();
    let path = "y".repeat(20_000);
    for (request, status) in [
        (json(format!("{{\"{long}\": 1}}")), 422),
        (json(order_of(&long, 1, "pm_card_visa").to_string()), 422),
        (json(order_of("espresso-cup", 1, &long).to_string()), 422),
        (json(format!("{{\"customer_id\": {long}}}")), 400),
        (get(format!("/{path}")), 404),
        (get(format!("/orders/{path}")), 404),
        (get(format!("/inventory/{path}")), 404),
        (get(format!("/orders?{path}=1")), 400),
        (get(format!("/orders?limit={path}")), 400),
        (get(format!("/orders?customer_id={path}")), 400),
        (get(format!("/orders?cursor={path}")), 400),
        (
            Request::post("/orders")
                .header("content-type", format!("text/{path}"))
                .body(Body::empty())
                .unwrap(),
            415,
        ),
        (
            Request::delete(format!("/orders/{path}"))
                .body(Body::empty())
                .unwrap(),
            405,
        ),
    ] {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = shop.send(request).await;
        assert_eq!(answer.problem().0, status, "{method} {path:.40}");
        let length = answer.json().to_string().len();
        assert!(length < 1200, "{method} {path:.40}: {length} bytes");
    }
}

#[tokio::test]
async fn the_media_type_and_the_size_are_looked_at() {
    let shop = TestShop::open().await;
    let body = order_of("espresso-cup", 1, "pm_card_visa").to_string();
    let plain = Request::post("/orders")
        .header("content-type", "text/plain")
        .body(Body::from(body.clone()))
        .unwrap();
    assert_eq!(
        shop.send(plain).await.problem(),
        (415, "unsupported_media_type".to_owned())
    );
    let untyped = Request::post("/orders").body(Body::from(body)).unwrap();
    assert_eq!(
        shop.send(untyped).await.problem(),
        (415, "unsupported_media_type".to_owned())
    );
    let large = " ".repeat(shop.state.max_body_bytes + 1);
    assert_eq!(
        shop.send(post(large, None)).await.problem(),
        (413, "body_too_large".to_owned())
    );
}

#[tokio::test]
async fn a_mixed_order_is_refused() {
    let shop = TestShop::open().await;
    shop.put(
        "euro-cup",
        &json!({"name": "Cup", "unit_price": {"amount": 5, "currency": "EUR"}, "on_hand": 9}),
    )
    .await;
    let body = json!({"customer_id": "c-1", "payment": {"method": "pm_card_visa"},
        "items": [{"sku": "espresso-cup", "quantity": 1}, {"sku": "euro-cup", "quantity": 1}]});
    assert_eq!(
        shop.place(&body).await.problem(),
        (422, "invalid_total".to_owned())
    );
}
