//! The routes of events: pages, positions, what is refused, and streams.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::test_shop::{TestAnswer, TestShop, order_of, post};

const CONFIRMED: &str = "shop.order.confirmed.v1";
const TIMEOUT: Duration = Duration::from_secs(60);

async fn place(shop: &TestShop) -> String {
    let answer = shop.place(&order_of("espresso-cup", 1, "pm_card_visa")).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn page(shop: &TestShop, query: &str) -> Value {
    let answer = shop.get(&format!("/events?{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()
}

async fn refused(shop: &TestShop, query: &str) -> (u16, String) {
    shop.get(&format!("/events?{query}")).await.problem()
}

fn subjects(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["subject"].as_str().unwrap())
        .collect()
}

fn next(page: &Value) -> String {
    page["next"].as_str().unwrap().to_owned()
}

async fn now(shop: &TestShop) -> String {
    next(&page(shop, "after=now").await)
}

#[tokio::test]
async fn a_follower_sees_each_event_once_and_in_order() {
    let shop = TestShop::open().await;
    let mut position = now(&shop).await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(place(&shop).await);
    }
    let mut seen = Vec::new();
    loop {
        let page = page(&shop, &format!("after={position}&limit=2&types={CONFIRMED}")).await;
        assert!(page["items"].as_array().unwrap().len() <= 2);
        seen.extend(subjects(&page).into_iter().map(str::to_owned));
        position = next(&page);
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, placed);
    assert!(subjects(&page(&shop, &format!("after={position}")).await).is_empty());
    assert_eq!(now(&shop).await, position);
}

#[tokio::test]
async fn events_are_cloud_events_with_the_trace_of_their_request() {
    let shop = TestShop::open().await;
    let start = now(&shop).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = post(order_of("espresso-cup", 2, "pm_card_visa").to_string(), None);
    request
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    let placed = shop.send(request).await.json();
    let id = placed["id"].as_str().unwrap();
    shop.place(&order_of("espresso-cup", 1, "pm_card_chargeDeclined"))
        .await;
    let changed = json!({"name": "Cup", "unit_price": {"amount": 5, "currency": "USD"}, "on_hand": 70});
    assert_eq!(shop.put("cup-1", &changed).await.status.as_u16(), 201);
    let page = page(&shop, &format!("after={start}")).await;
    let of = |kind: &str| {
        let items = page["items"].as_array().unwrap().iter();
        let mut found = items.filter(|item| item["type"] == kind);
        let only = found
            .next()
            .unwrap_or_else(|| panic!("no {kind} in {page}"))
            .clone();
        assert_eq!(found.next(), None, "{kind} twice");
        only
    };
    let mut confirmed = of(CONFIRMED);
    assert!(confirmed["time"].take().as_str().unwrap().ends_with('Z'));
    let request_id = confirmed.as_object_mut().unwrap().remove("requestid");
    assert!(request_id.is_some(), "{confirmed}");
    assert_eq!(
        confirmed,
        json!({
            "specversion": "1.0", "id": format!("{id}.confirmed"), "source": "/orders", "type": CONFIRMED,
            "subject": id, "time": null, "datacontenttype": "application/json", "traceparent": trace,
            "data": {
                "order_id": id, "customer_id": "c-1", "total": {"amount": 900, "currency": "USD"},
                "items": [{
                    "sku": "espresso-cup", "quantity": 2, "unit_price": {"amount": 450, "currency": "USD"}
                }]
            }
        })
    );
    assert_eq!(of("shop.payment.charged.v1")["data"]["order_id"], id);
    let rejected = of("shop.order.rejected.v1");
    assert_eq!(rejected["data"]["reason"], "payment_declined");
    assert_eq!(rejected["traceparent"], Value::Null);
    assert_eq!(
        of("shop.payment.declined.v1")["data"]["order_id"],
        rejected["subject"]
    );
    let article = of("shop.article.changed.v1");
    assert_eq!(
        (&article["subject"], &article["data"]["on_hand"]),
        (&json!("cup-1"), &json!(70))
    );
    assert_eq!(article["source"], "/inventory");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_can() {
    let shop = TestShop::open().await;
    for (query, code) in [
        ("after=00", "invalid_position"),
        ("after=yesterday", "invalid_position"),
        ("after=", "invalid_position"),
        ("limit=0", "invalid_limit"),
        ("limit=1001", "invalid_limit"),
        ("limit=-1", "invalid_limit"),
        ("wait=31s", "invalid_wait"),
        ("wait=5", "invalid_wait"),
        ("wait=1000000000h", "invalid_wait"),
        ("wait=-1s", "invalid_wait"),
        ("types=", "unknown_event_type"),
        ("types=shop.order.placed.v1", "unknown_event_type"),
        ("cursor=1", "invalid_query"),
        ("after=now&after=now", "invalid_query"),
    ] {
        assert_eq!(refused(&shop, query).await, (400, code.to_owned()), "{query}");
    }
    let asks = |accept: &str| {
        Request::get("/events")
            .header("accept", accept)
            .body(Body::empty())
            .unwrap()
    };
    let html = shop.send(asks("text/html")).await.problem();
    assert_eq!(html, (406, "not_acceptable".to_owned()));
    for accept in ["*/*", "application/json", "text/html, application/*;q=0.5"] {
        assert_eq!(shop.send(asks(accept)).await.status.as_u16(), 200, "{accept}");
    }
    let limited = Request::get("/events?limit=5").header("accept", "text/event-stream");
    let limited = shop.send(limited.body(Body::empty()).unwrap()).await.problem();
    assert_eq!(limited, (400, "invalid_query".to_owned()));
}

#[tokio::test]
async fn foreign_future_and_expired_positions_are_told_where_to_begin_again() {
    if super::test_shop::has_no_files(
        "foreign_future_and_expired_positions_are_told_where_to_begin_again",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let (shop, other) = (TestShop::open().await, TestShop::open().await);
    let start = now(&shop).await;
    for _ in 0..3 {
        place(&shop).await;
    }
    let foreign = now(&other).await;
    assert_eq!(
        refused(&shop, &format!("after={foreign}")).await,
        (410, "position_foreign".to_owned())
    );
    let end = now(&shop).await;
    shop.state.orders.settled().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    shop.state.orders.sweep(Duration::ZERO).await.unwrap();
    let expired = shop.get(&format!("/events?after={start}")).await;
    assert_eq!(expired.problem(), (410, "position_expired".to_owned()));
    let begin = |answer: &TestAnswer, from: &str| answer.json()[from].as_str().unwrap().to_owned();
    assert_eq!(begin(&expired, "now"), end);
    let kept = page(
        &shop,
        &format!("after={}&types={CONFIRMED}", begin(&expired, "oldest")),
    )
    .await;
    assert_eq!(
        subjects(&kept).len(),
        1,
        "the newest event is never removed: {kept}"
    );
    assert_eq!(next(&kept), end);
    // The events were lost, and the line went on: as a program that knows nothing of it would leave the file.
    let orders = rusqlite::Connection::open(shop.dir.path().join("orders.db")).unwrap();
    orders.execute("DELETE FROM outbox", []).unwrap();
    assert_eq!(
        refused(&shop, &format!("after={end}")).await,
        (410, "position_future".to_owned())
    );
}

#[tokio::test]
async fn a_page_that_waits_comes_with_the_event_or_after_the_time() {
    let shop = TestShop::open().await;
    let start = now(&shop).await;
    let early = page(&shop, &format!("after={start}&wait=20ms")).await;
    assert!(subjects(&early).is_empty() && next(&early) == start);
    let query = format!("after={start}&wait=24s&types={CONFIRMED}");
    let (woken, placed) = tokio::join!(page(&shop, &query), place(&shop));
    assert_eq!(subjects(&woken), [placed]);
}

/// A stream that is read as a browser does.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(shop: &TestShop, query: &str, last_id: Option<&str>) -> Stream {
        let mut request = Request::get(format!("/events?{query}")).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        use tower::ServiceExt;
        let request = request.body(Body::empty()).unwrap();
        let response = shop.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Reads until an event came: its id and its content.
    async fn event(&mut self) -> (String, Value) {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.map(str::to_owned)
                };
                let found =
                    line("data: ").map(|data| (line("id: ").unwrap(), serde_json::from_str(&data).unwrap()));
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return found;
                }
            }
            let frame = tokio::time::timeout(TIMEOUT, self.body.frame()).await;
            let bytes = frame.unwrap().expect("more").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_each_event_and_goes_on_behind_the_last_one_that_was_seen() {
    let shop = TestShop::open().await;
    let query = format!("after=now&types={CONFIRMED}");
    let mut stream = Stream::open(&shop, &query, None).await;
    let (first, second) = (place(&shop).await, place(&shop).await);
    let (id, event) = stream.event().await;
    assert_eq!(event["subject"], first);
    drop(stream);
    let third = place(&shop).await;
    // The address still says "now"; the id of the last event counts.
    let mut stream = Stream::open(&shop, &query, Some(&id)).await;
    for placed in [second, third] {
        assert_eq!(stream.event().await.1["subject"], placed);
    }
}

#[tokio::test]
async fn a_stream_behind_a_position_that_is_gone_is_refused_before_it_begins() {
    let (shop, other) = (TestShop::open().await, TestShop::open().await);
    let request = Request::get("/events").header("accept", "text/event-stream");
    let request = request.header("last-event-id", now(&other).await);
    let answer = shop.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (410, "position_foreign".to_owned()));
}

/// Writes events as a program does that signals to nobody.
fn write_silently(shop: &TestShop, many: u32) {
    let mut orders = rusqlite::Connection::open(shop.dir.path().join("orders.db")).unwrap();
    orders.busy_timeout(TIMEOUT).unwrap();
    let tx = orders.transaction().unwrap();
    for order in 1..=many {
        let event = "INSERT INTO outbox (order_id, event, at_ms, customer_id, items, amount, currency)
            VALUES (?1, 'order.confirmed', 7, 'c-1', '[[\"espresso-cup\",1,450]]', 450, 'USD')";
        tx.execute(event, [order]).unwrap();
    }
    tx.commit().unwrap();
}

#[tokio::test]
async fn who_dies_between_the_commit_and_the_signal_has_signalled() {
    if super::test_shop::has_no_files(
        "who_dies_between_the_commit_and_the_signal_has_signalled",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let start = now(&shop).await;
    let other = crate::shop::event_signal::signal(shop.dir.path()).unwrap();
    let query = format!("after={start}&wait=24s");
    let dies = async {
        // The page waits once its watch is there, and its own read is done.
        while shop.state.events.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        write_silently(&shop, 1);
        drop(other);
    };
    let (woken, ()) = tokio::join!(page(&shop, &query), dies);
    assert_eq!(subjects(&woken).len(), 1, "{woken}");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_costs_a_page_and_gets_everything_when_it_reads_on() {
    if super::test_shop::has_no_files(
        "a_reader_that_takes_nothing_costs_a_page_and_gets_everything_when_it_reads_on",
        "it reads or changes rows by SQLite's statements",
    ) {
        return;
    }
    let shop = TestShop::open().await;
    let start = now(&shop).await;
    let mut stream = Stream::open(&shop, &format!("after={start}"), None).await;
    write_silently(&shop, 5_000);
    place(&shop).await;
    let before = shop.state.events.reads();
    for _ in 0..50 {
        place(&shop).await;
    }
    assert!(
        shop.state.events.reads() - before <= 4,
        "it read on for a reader that took nothing"
    );
    for seq in 1..=5_000 {
        let (_, event) = stream.event().await;
        let id = crate::shop::contract::OrderId::from_key(seq);
        assert_eq!(event["subject"], id.to_string());
    }
}

#[tokio::test]
async fn readers_that_wait_share_one_read_and_none_while_nothing_happens() {
    let shop = TestShop::open().await;
    let start = now(&shop).await;
    let query = format!("after={start}&types={CONFIRMED}");
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(Stream::open(&shop, &query, None).await);
    }
    // All of them have looked once more, and wait.
    let placed = place(&shop).await;
    for stream in &mut streams {
        assert_eq!(stream.event().await.1["subject"], placed);
    }
    let before = shop.state.events.reads();
    let placed = place(&shop).await;
    for stream in &mut streams {
        assert_eq!(stream.event().await.1["subject"], placed);
    }
    let reads = shop.state.events.reads() - before;
    assert!(reads < 20, "{reads} reads for 40 readers of one order");
    assert_eq!(shop.state.events.waiting(), 40);
    drop(streams);
    while shop.state.events.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
