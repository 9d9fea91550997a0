//! What a person does beside a running cluster: doctor, backup, decisions about parked orders; and what the keeper does for all.

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use common::{Cluster, PATIENCE, Plan};
use serde_json::json;

fn office(arguments: &[&str], data: &Path) -> Output {
    let (command, rest) = arguments.split_first().expect("a command");
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .arg(command)
        .arg("--data-dir")
        .arg(data)
        .args(rest)
        .output()
        .expect("the program starts")
}

fn says(output: &Output, code: i32, words: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in:\n{said}");
}

fn place(cluster: &Cluster) -> String {
    let items = json!([{ "sku": "espresso-cup", "quantity": 1 }]);
    let body = json!({ "customer_id": "c-1", "items": items, "payment": { "method": "pm_card_visa" } });
    let answer = cluster.post("/orders", &[], &body.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn wait_until(what: &str, is_it: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A parked order, as a service that stayed unknown too long leaves it behind.
fn park(cluster: &Cluster) -> String {
    let id = cluster::shop::contract::OrderId::at(cluster::shop::clock::now_ms(), 77);
    let orders = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    orders.busy_timeout(PATIENCE).expect("set");
    let row = "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, ended_ms, reason)
        VALUES (?1, 11, 'c-9', '[[\"espresso-cup\",1,450]]', 450, 'USD', 'pm_card_visa', 1, '1/9/9', 1, 0, '{\"parked\":\"a test\"}')";
    orders.execute(row, [id.key()]).expect("inserted");
    id.to_string()
}

#[test]
fn a_backup_beside_a_running_cluster_is_sound() {
    let cluster = Plan::shop().start();
    let id = place(&cluster);
    let copy = cluster.data().join("../copy");
    says(
        &office(&["backup", copy.to_str().expect("a path")], &cluster.data()),
        0,
        "orders.db",
    );
    let twice = office(&["backup", copy.to_str().expect("a path")], &cluster.data());
    says(&twice, 73, "failed to make");
    says(&office(&["doctor", "--at-rest"], &copy), 0, "all is well");
    says(&office(&["doctor"], &cluster.data()), 0, "1 confirmed");
    says(&office(&["sagas", "show", &id], &copy), 0, "under key");
    assert!(cluster.stop().success());
}

#[test]
fn an_order_without_its_event_is_found() {
    let cluster = Plan::shop().start();
    place(&cluster);
    let data = cluster.data();
    let directory = Plan::shop().over(&cluster).keep();
    assert!(cluster.stop().success());
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    orders.execute("DELETE FROM outbox", []).expect("deleted");
    drop(orders);
    says(&office(&["doctor"], &data), 65, "0 terminal events");
    drop(directory);
}

#[test]
fn a_parked_order_is_listed_and_retried_and_every_decision_is_recorded() {
    let cluster = Plan::shop().start();
    let id = park(&cluster);
    let data = cluster.data();
    says(&office(&["sagas", "list", "--parked"], &data), 0, &id);
    says(&office(&["sagas", "retry", &id], &data), 2, "--reason");
    let retried = office(
        &["sagas", "retry", &id, "--reason", "the provider is back"],
        &data,
    );
    says(&retried, 0, "recorded");
    let url = format!("/orders/{id}");
    wait_until("the order to be confirmed", || {
        cluster.get(&url).json()["status"] == "confirmed"
    });
    let again = office(&["sagas", "reject", &id, "--reason", "x"], &data);
    says(&again, 1, "is not parked");
    says(
        &office(&["sagas", "show", &id], &data),
        0,
        "because the provider is back",
    );
    let hopeless = park(&cluster);
    says(
        &office(&["sagas", "reject", &hopeless, "--reason", "lost"], &data),
        0,
        "recorded",
    );
    assert_eq!(
        cluster.get(&format!("/orders/{hopeless}")).json()["status"],
        "rejected"
    );
    says(&office(&["doctor"], &data), 0, "all is well");
    assert!(cluster.stop().success());
}

#[test]
fn what_is_old_is_removed_everywhere_and_the_sums_stay_right() {
    let retention = "retention = \"1s\"\nidempotency_retention = \"1s\"";
    let cluster = Plan::shop().with("[shop]", retention).start();
    let ids: Vec<String> = (0..20).map(|_| place(&cluster)).collect();
    wait_until("all but the last to be removed", || {
        cluster.get("/orders").json()["items"]
            .as_array()
            .is_some_and(|orders| orders.len() <= 1)
    });
    assert_eq!(cluster.get(&format!("/orders/{}", ids[0])).status, 404);
    let stock = cluster.get("/inventory/espresso-cup").json();
    wait_until("the payments to be removed", || {
        cluster.get("/payments").json()["items"]
            .as_array()
            .is_some_and(|payments| payments.len() <= 1)
    });
    assert_eq!(stock["reserved"], 0);
    let data = cluster.data();
    let directory = Plan::shop().over(&cluster).keep();
    assert!(cluster.stop().success());
    says(&office(&["doctor", "--at-rest"], &data), 0, "all is well");
    drop(directory);
}
