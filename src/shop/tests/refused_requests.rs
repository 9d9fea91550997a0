//! What is answered to requests that cannot be carried out.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::test_shop::{TestShop, order_of, post};

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
