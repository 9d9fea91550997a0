//! The shop over real HTTP, from real workers: what an order's client sees.

use std::io::{Read, Write};

use crate::common::{Answer, Cluster, Plan};
use cluster::shop::evidence::audit::Moment;
use cluster::store::OfdLock;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn order(sku: &str, quantity: u32, method: &str) -> String {
    let items = json!([{ "sku": sku, "quantity": quantity }]);
    json!({ "customer_id": "c-1", "items": items, "payment": { "method": method } }).to_string()
}

fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    problem
}

fn stock(cluster: &Cluster, sku: &str) -> Value {
    let answer = cluster.get(&format!("/inventory/{sku}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn an_order_is_confirmed_and_leaves_its_trace_in_all_three_services() {
    let cluster = Plan::shop().start();
    let before = stock(&cluster, "espresso-cup");
    let answer = cluster.post("/orders", &[], &order("espresso-cup", 2, "pm_card_visa"));
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    let id = body["id"].as_str().expect("an id");
    assert_eq!(answer.headers["location"], format!("/orders/{id}"));
    assert_eq!(body["status"], "confirmed");
    assert_eq!(body["customer_id"], "c-1");
    assert_eq!(body["total"], json!({ "amount": 900, "currency": "USD" }));
    let unit_price = json!({ "amount": 450, "currency": "USD" });
    assert_eq!(
        body["items"],
        json!([{ "sku": "espresso-cup", "quantity": 2, "unit_price": unit_price }])
    );
    assert!(
        body["created_at"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{body}"
    );

    assert_eq!(cluster.get(&format!("/orders/{id}")).json(), body);
    let payments = cluster.get(&format!("/payments?order_id={id}")).json();
    let payment = &payments["items"][0];
    assert_eq!(payment["status"], "succeeded");
    assert_eq!(payment["order_id"], id);
    assert_eq!(payment["amount"], body["total"]);
    let payment_id = payment["id"].as_str().expect("an id");
    assert_eq!(cluster.get(&format!("/payments/{payment_id}")).json(), *payment);

    let after = stock(&cluster, "espresso-cup");
    let number = |stock: &Value, key: &str| stock[key].as_i64().expect("a number");
    assert_eq!(number(&after, "available"), number(&before, "available") - 2);
    let timeline = cluster.get(&format!("/orders/{id}/timeline")).json();
    let steps = timeline["items"].as_array().expect("a list");
    assert!(steps.len() >= 4, "{timeline}");
    for step in steps {
        for key in ["step", "at", "outcome", "worker"] {
            assert!(step[key].is_string(), "a step without {key}: {step}");
        }
    }
    assert!(cluster.stop().success());
}

#[test]
fn refusals_say_which_and_leave_nothing_behind() {
    let cluster = Plan::shop().start();
    let body = json!({ "name": "Rare", "unit_price": { "amount": 100, "currency": "USD" }, "on_hand": 1 })
        .to_string();
    assert_eq!(cluster.put("/inventory/rare", &body).status, 201);
    assert_eq!(cluster.put("/inventory/rare", &body).status, 200);
    let declined = cluster.post(
        "/orders",
        &[],
        &order("rare", 1, "pm_card_chargeDeclinedInsufficientFunds"),
    );
    let declined = problem(&declined, 402, "payment_declined");
    let sold_out = cluster.post("/orders", &[], &order("rare", 2, "pm_card_visa"));
    let sold_out = problem(&sold_out, 409, "out_of_stock");
    for refusal in [declined, sold_out] {
        let id = refusal["order_id"].as_str().expect("an order id");
        assert_eq!(cluster.get(&format!("/orders/{id}")).json()["status"], "rejected");
        let payments = cluster.get(&format!("/payments?order_id={id}")).json();
        let standing = payments["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|item| item["status"] == "succeeded");
        assert_eq!(standing.count(), 0, "{payments}");
    }
    let stock = stock(&cluster, "rare");
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"], &stock["available"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert!(cluster.stop().success());
}

#[test]
fn the_same_key_and_body_are_one_order() {
    let cluster = Plan::shop().start();
    let body = order("espresso-cup", 1, "pm_card_visa");
    let key = [("idempotency-key", "k-1")];
    let first = cluster.post("/orders", &key, &body);
    assert_eq!(first.status, 201, "{first:?}");
    let second = cluster.post("/orders", &key, &body);
    assert_eq!((second.status, &second.body), (201, &first.body));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let other = cluster.post("/orders", &key, &order("espresso-cup", 2, "pm_card_visa"));
    problem(&other, 422, "idempotency_key_reused");
    let listed = cluster.get("/orders?customer_id=c-1").json();
    assert_eq!(listed["items"].as_array().expect("a list").len(), 1, "{listed}");
    assert!(cluster.stop().success());
}

#[test]
fn lists_are_turned_page_by_page() {
    let cluster = Plan::shop().start();
    let mut placed: Vec<String> = (0..5)
        .map(|_| {
            let answer = cluster.post("/orders", &[], &order("espresso-cup", 1, "pm_card_visa"));
            answer.json()["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cluster
            .get(&format!("/orders?customer_id=c-1&limit=2{cursor}"))
            .json();
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 2);
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().expect("an id").to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    placed.sort();
    assert_eq!(seen, placed);
    assert_eq!(cluster.get("/orders?cursor=nonsense").status, 400);
    assert!(cluster.stop().success());
}

#[test]
fn bad_requests_get_clear_answers() {
    let cluster = Plan::shop().start();
    problem(
        &cluster.post("/orders", &[], "{\"customer_id\":"),
        400,
        "malformed_json",
    );
    problem(
        &cluster.post("/orders", &[], &order("no-such-thing", 1, "pm_card_visa")),
        422,
        "unknown_sku",
    );
    problem(&cluster.get("/nowhere"), 404, "not_found");
    problem(&cluster.get("/orders/ord_nope"), 404, "order_not_found");
    let answer =
        Answer::try_of(crate::common::client().delete(cluster.url("/orders")).call()).expect("an answer");
    problem(&answer, 405, "method_not_allowed");
    assert!(answer.headers["allow"].contains("POST"), "{answer:?}");
    let text = crate::common::client()
        .post(cluster.url("/orders"))
        .header("content-type", "text/plain")
        .send("hello");
    problem(
        &Answer::try_of(text).expect("an answer"),
        415,
        "unsupported_media_type",
    );
    let huge = format!("{{\"customer_id\":\"{}\"}}", "x".repeat(2_000_000));
    problem(&cluster.post("/orders", &[], &huge), 413, "body_too_large");
    assert_eq!(
        cluster
            .post("/orders", &[], &order("espresso-cup", 0, "pm_card_visa"))
            .status,
        422
    );
    assert_eq!(
        cluster.get("/orders").json()["items"],
        json!([]),
        "a bad request left an order behind"
    );
    assert!(cluster.stop().success());
}

/// The acceptance test of the main job, in small: orders under a key are retried until they are answered,
/// while workers are killed and the cluster reloads; every answer stays true.
#[test]
fn orders_survive_kills_and_reloads() {
    let cluster = Plan::shop().start();
    let body =
        json!({ "name": "Mug", "unit_price": { "amount": 700, "currency": "USD" }, "on_hand": 10_000 })
            .to_string();
    assert_eq!(cluster.put("/inventory/mug", &body).status, 201);
    let url = cluster.url("/orders");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let confirmed: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (url, stop) = (&url, &stop);
                scope.spawn(move || place_orders(url, client, stop))
            })
            .collect();
        for round in 0..20 {
            let mark = cluster.mark();
            cluster.signal_worker(round % 2, Signal::SIGKILL);
            cluster.wait_from(mark, "worker ready");
            if round % 2 == 0 {
                let mark = cluster.mark();
                cluster.signal(Signal::SIGHUP);
                cluster.wait_from(mark, "reload done");
                cluster.wait_for_many(mark, "worker gone", 2);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"))
            .collect()
    });
    assert!(!confirmed.is_empty());
    for id in &confirmed {
        assert_eq!(
            cluster.get(&format!("/orders/{id}")).json()["status"],
            "confirmed"
        );
    }
    let at_rest = wait_for_rest(&cluster);
    assert_eq!(at_rest["on_hand"], json!(10_000 - confirmed.len()), "{at_rest}");
    let audit =
        cluster::shop::evidence::audit::check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert!(cluster.stop().success());
}

/// Places orders one after the other, each retried under its key until it gets a final answer.
fn place_orders(url: &str, client: usize, stop: &std::sync::atomic::AtomicBool) -> Vec<String> {
    let mut confirmed = Vec::new();
    for number in 0.. {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
        let key = format!("client-{client}-{number}");
        confirmed.push(place_until_final(url, "mug", &key));
    }
    confirmed
}

fn place_until_final(url: &str, sku: &str, key: &str) -> String {
    let deadline = std::time::Instant::now() + crate::common::TIMEOUT;
    loop {
        let request = crate::common::client()
            .post(url)
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        if let Ok(answer) = Answer::try_of(request.send(order(sku, 1, "pm_card_visa"))) {
            match answer.status {
                201 => return answer.json()["id"].as_str().expect("an id").to_owned(),
                202 | 409 | 503 => {}
                _ => panic!("{answer:?}"),
            }
        }
        assert!(std::time::Instant::now() < deadline, "{key} got no final answer");
    }
}

fn wait_for_rest(cluster: &Cluster) -> Value {
    let deadline = std::time::Instant::now() + crate::common::TIMEOUT;
    loop {
        let stock = stock(cluster, "mug");
        if stock["reserved"] == 0 {
            return stock;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "stock stays reserved: {stock}"
        );
    }
}

/// A worker that outlived its master may take one more order on a connection that is still open, after
/// everything of its master's time was handed over, and die with it. Whoever is master then has to notice.
#[test]
fn an_order_of_an_orphan_that_dies_is_taken_over() {
    for attempt in 0.. {
        assert!(attempt < 10, "the orphan never took an order");
        if an_orphan_takes_an_order_and_dies() {
            return;
        }
    }
}

/// Whether the orphan was quick enough to take it: it keeps silent connections for a second only.
fn an_orphan_takes_an_order_and_dies() -> bool {
    let mut first = Plan::shop().replace("workers = 2", "workers = 1").start();
    let address = first.address().to_string();
    let orphan = first.worker(0);
    let mut client = std::net::TcpStream::connect(&address).expect("connected");
    client
        .write_all(b"GET /healthz/liveness HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    let mut head = [0; 12];
    client.read_exact(&mut head).expect("an answer");
    first.kill_master();
    let second = Plan::shop().over(&first).replace("127.0.0.1:0", &address).start();
    second.wait_for("serving");
    let lock = OfdLock::open(&second.data().join("inventory.db.lock")).expect("there");
    lock.take().expect("taken");
    let body = order("espresso-cup", 1, "pm_card_visa");
    let request = format!(
        "POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = client.write_all(request.as_bytes());
    let Some(id) = the_only_order(&second) else {
        return false;
    };
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(orphan), Signal::SIGKILL);
    lock.release().expect("released");
    let deadline = std::time::Instant::now() + crate::common::TIMEOUT / 3;
    while second.get(&format!("/orders/{id}")).json()["status"] == "pending" {
        assert!(
            std::time::Instant::now() < deadline,
            "the orphan's order stays pending"
        );
    }
    assert!(second.stop().success());
    true
}

fn the_only_order(cluster: &Cluster) -> Option<String> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while std::time::Instant::now() < deadline {
        let orders = cluster.get("/orders").json();
        if let Some(id) = orders["items"][0]["id"].as_str() {
            return Some(id.to_owned());
        }
    }
    None
}

#[test]
fn another_program_that_writes_a_database_for_a_while_is_waited_for() {
    let cluster = Plan::shop().start();
    let stranger = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("begun");
    let url = cluster.url("/orders");
    let client = std::thread::spawn(move || place_until_final(&url, "espresso-cup", "during"));
    // The heartbeat looks four times a second; a worker that held its siblings up would be gone by the third
    // look.
    cluster.wait_for("another program writes the database");
    std::thread::sleep(std::time::Duration::from_secs(1));
    stranger.execute_batch("ROLLBACK").expect("ended");
    client.join().expect("confirmed");
    assert_eq!(cluster.count_from(0, "killing worker"), 0);
    assert!(cluster.stop().success());
}

#[test]
fn after_a_stop_each_database_is_whole_without_its_wal() {
    let cluster = Plan::shop().start();
    let kept = cluster.keep();
    let answer = cluster.post("/orders", &[], &order("espresso-cup", 1, "pm_card_visa"));
    assert_eq!(answer.status, 201, "{answer:?}");
    let data = cluster.data();
    assert!(cluster.stop().success());
    assert_no_wal(&data);
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    let confirmed: i64 = orders
        .query_row("SELECT count(*) FROM orders WHERE status = 20", [], |row| {
            row.get(0)
        })
        .expect("read");
    assert_eq!(confirmed, 1);
    drop(kept);
}

#[test]
fn workers_that_close_a_database_at_the_same_moment_leave_no_wal() {
    for _ in 0..20 {
        let cluster = Plan::shop().arguments(&["--workers", "8"]).start();
        let (kept, data) = (cluster.keep(), cluster.data());
        let answer = cluster.post("/orders", &[], &order("espresso-cup", 1, "pm_card_visa"));
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(cluster.stop().success());
        assert_no_wal(&data);
        drop(kept);
    }
}

fn assert_no_wal(data: &std::path::Path) {
    for name in ["orders", "inventory", "payments", "sandbox"] {
        assert!(
            !data.join(format!("{name}.db-wal")).exists(),
            "{name}.db-wal was left behind"
        );
    }
}
