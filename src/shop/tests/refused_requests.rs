//! What is answered to requests that cannot be carried out.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::test_shop::{TestAnswer, TestShop, order_of, post};

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

/// The answer to an order with this content type, content encoding (neither when empty) and body.
async fn answer_to(shop: &TestShop, [content_type, encoding]: [&str; 2], body: &[u8]) -> TestAnswer {
    let mut request = Request::post("/orders");
    for (name, value) in [("content-type", content_type), ("content-encoding", encoding)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    shop.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

/// The answer is a problem with this status and code, and explains itself with these words.
fn says(answer: &TestAnswer, status: u16, code: &str, words: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{words}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(words), "{words:?} is not in {detail:?}");
}

const JSON: &str = "application/json";

fn an_order() -> String {
    order_of("espresso-cup", 1, "pm_card_visa").to_string()
}

/// What is packed is named by its packing, whether the client says so or not.
#[tokio::test]
async fn a_packed_body_is_named_as_what_it_is() {
    let shop = TestShop::open().await;
    let order = an_order();
    let (gzip, zstd) = (&b"\x1f\x8b\x08\0\xab\x56"[..], &b"\x28\xb5\x2f\xfd\x04"[..]);
    for (encoding, body, words) in [
        ("gzip", gzip, "gzip"),
        ("gzip, br", order.as_bytes(), "gzip, br"),
        ("", gzip, "gzip"),
        ("", zstd, "zstd"),
    ] {
        let answer = answer_to(&shop, [JSON, encoding], body).await;
        says(&answer, 415, "unsupported_content_encoding", words);
        assert_eq!(answer.headers["accept-encoding"], "identity", "{words}");
    }
    let plain = answer_to(&shop, [JSON, "identity"], order.as_bytes()).await;
    assert_eq!(plain.status, 201, "{}", plain.json());
}

/// A text in another encoding, or none at all, is named as what it is.
#[tokio::test]
async fn a_text_that_is_not_utf_8_is_named_as_what_it_is() {
    let shop = TestShop::open().await;
    let order = an_order();
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| order.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let with_mark = |mark: &[u8], text: &[u8]| [mark, text].concat();
    let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
    for (body, words) in [
        (with_mark(b"\xff\xfe", &little), "UTF-16"),
        (with_mark(b"\xfe\xff", &big), "UTF-16"),
        (little, "UTF-16"),
        (big, "UTF-16"),
        (with_mark(b"\xef\xbb\xbf", order.as_bytes()), "byte order mark"),
        (
            b"{\"customer_id\": \"caf\xe9\"}".to_vec(),
            "not UTF-8 (at byte 21)",
        ),
        (b"".to_vec(), "the body is empty"),
        (b" \r\n ".to_vec(), "the body is empty"),
    ] {
        let answer = answer_to(&shop, [JSON, ""], &body).await;
        says(&answer, 400, "malformed_json", words);
    }
}

#[tokio::test]
async fn a_content_type_that_is_no_json_in_utf_8_is_refused_by_its_name() {
    let shop = TestShop::open().await;
    let order = an_order();
    for content_type in [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        let answer = answer_to(&shop, [content_type, ""], order.as_bytes()).await;
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.json());
    }
    for (content_type, words) in [
        ("application/json; charset=utf-16", "utf-16"),
        ("", "no Content-Type"),
    ] {
        let answer = answer_to(&shop, [content_type, ""], order.as_bytes()).await;
        says(&answer, 415, "unsupported_media_type", words);
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
