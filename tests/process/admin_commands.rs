//! What a person does beside a running cluster: doctor, backup, decisions about parked orders; and what the
//! keeper does for all.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::{Cluster, Plan, TIMEOUT, place, run, wait_until};

/// `cluster COMMAND --data-dir DATA` and the rest of the arguments.
pub(crate) fn admin_command(arguments: &[&str], data: &Path) -> Output {
    let (command, rest) = arguments.split_first().expect("a command");
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .arg(command)
        .arg("--data-dir")
        .arg(data)
        .args(rest)
        .output()
        .expect("the program starts")
}

/// Requires the exit code, and these words on stdout or stderr.
pub(crate) fn says(output: &Output, code: i32, words: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in:\n{said}");
}

/// A parked order, as a service that stayed unknown too long leaves it behind.
fn park(cluster: &Cluster) -> String {
    let id = cluster::shop::contract::OrderId::at(cluster::shop::recovery::clock::now_ms(), 77);
    let orders = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    orders.busy_timeout(TIMEOUT).expect("set");
    let row = "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms, reason)
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
        &admin_command(&["backup", copy.to_str().expect("a path")], &cluster.data()),
        0,
        "orders.db",
    );
    let twice = admin_command(&["backup", copy.to_str().expect("a path")], &cluster.data());
    says(&twice, 73, "failed to make");
    says(&admin_command(&["doctor", "--at-rest"], &copy), 0, "all is well");
    says(&admin_command(&["doctor"], &cluster.data()), 0, "1 confirmed");
    says(&admin_command(&["sagas", "show", &id], &copy), 0, "under key");
    assert!(cluster.stop().success());
}

#[test]
fn an_order_without_its_event_and_a_lost_index_are_found() {
    let cluster = Plan::shop().start();
    place(&cluster);
    let data = cluster.data();
    let directory = Plan::shop().over(&cluster).keep();
    assert!(cluster.stop().success());
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    orders.execute("DELETE FROM outbox", []).expect("deleted");
    says(&admin_command(&["doctor"], &data), 65, "0 terminal events");
    orders
        .execute("DROP INDEX orders_unfinished", [])
        .expect("dropped");
    drop(orders);
    says(
        &admin_command(&["doctor"], &data),
        65,
        "orders.db lacks the index \"orders_unfinished\"",
    );
    drop(directory);
}

#[test]
fn a_parked_order_is_listed_and_retried_and_every_decision_is_recorded() {
    let cluster = Plan::shop().start();
    let id = park(&cluster);
    let data = cluster.data();
    says(&admin_command(&["sagas", "list", "--parked"], &data), 0, &id);
    let data_dir = data.to_str().expect("text");
    let flags_last = run(&["sagas", "list", "--parked", "--data-dir", data_dir, "--json"]);
    assert_eq!(flags_last.code, 0, "{}", flags_last.stderr);
    assert!(flags_last.stdout.contains(&id), "{}", flags_last.stdout);
    says(&admin_command(&["sagas", "retry", &id], &data), 2, "--reason");
    let retried = admin_command(
        &["sagas", "retry", &id, "--reason", "the provider is back"],
        &data,
    );
    says(&retried, 0, "recorded");
    let url = format!("/orders/{id}");
    wait_until("the order to be confirmed", || {
        cluster.get(&url).json()["status"] == "confirmed"
    });
    let again = admin_command(&["sagas", "reject", &id, "--reason", "x"], &data);
    says(&again, 4, "is not parked");
    for act in ["retry", "compensate"] {
        let again = admin_command(&["sagas", act, &id, "--reason", "x"], &data);
        says(&again, 4, "is not parked");
    }
    says(
        &admin_command(&["sagas", "show", &id], &data),
        0,
        "because the provider is back",
    );
    let hopeless = park(&cluster);
    let by_hand = admin_command(&["sagas", "reject", &hopeless, "--reason", "lost"], &data);
    says(&by_hand, 4, "a late charge may still come");
    let undone = admin_command(
        &[
            "sagas",
            "compensate",
            &hopeless,
            "--reason",
            "lost",
            "--wait",
            "1m",
        ],
        &data,
    );
    says(&undone, 0, "it is rejected");
    assert_eq!(
        cluster.get(&format!("/orders/{hopeless}")).json()["rejection"]["code"],
        "order_taken_back"
    );
    says(&admin_command(&["doctor"], &data), 0, "all is well");
    assert!(cluster.stop().success());
}

/// An order that was confirmed, as if its last record had never been written.
fn unend(cluster: &Cluster, id: &str) {
    let id: cluster::shop::contract::OrderId = id.parse().expect("an id");
    let orders = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    orders.busy_timeout(TIMEOUT).expect("set");
    let parked = "UPDATE orders SET status = 11, reason = '{\"parked\":\"a test\"}' WHERE id = ?1";
    orders.execute(parked, [id.key()]).expect("updated");
    orders
        .execute("DELETE FROM outbox WHERE order_id = ?1", [id.key()])
        .expect("deleted");
}

#[test]
fn an_order_that_is_charged_and_sent_is_confirmed_by_hand_or_undone_to_the_last_cent() {
    let cluster = Plan::shop().start();
    let data = cluster.data();
    let before = cluster.get("/inventory/espresso-cup").json();
    let stands = place(&cluster);
    unend(&cluster, &stands);
    let shown = admin_command(&["sagas", "show", &stands], &data);
    says(&shown, 0, "nothing by itself until a cluster is started");
    let wrong = admin_command(&["sagas", "reject", &stands, "--reason", "x"], &data);
    says(&wrong, 4, "1 charges stand at the provider");
    let right = admin_command(&["sagas", "confirm", &stands, "--reason", "seen by me"], &data);
    says(&right, 0, "recorded");
    let falls = place(&cluster);
    unend(&cluster, &falls);
    let undone = admin_command(
        &[
            "sagas",
            "compensate",
            "--all",
            "--reason",
            "the customer rang",
            "--wait",
            "1m",
        ],
        &data,
    );
    says(&undone, 0, "it is rejected");
    let story = admin_command(&["sagas", "show", &falls], &data);
    for words in [
        "decided: compensate, because the customer rang",
        "refunded",
        "it had left the shelf",
        ".1.refund",
        "nothing: it is over",
    ] {
        says(&story, 0, words);
    }
    let payment = cluster.get(&format!("/payments?order_id={falls}")).json();
    assert_eq!(payment["items"][0]["status"], "refunded", "{payment}");
    let after = cluster.get("/inventory/espresso-cup").json();
    assert_eq!(
        before["available"].as_i64(),
        after["available"].as_i64().map(|left| left + 1)
    );
    says(
        &admin_command(&["doctor", "--at-rest"], &data),
        0,
        "1 confirmed, 1 rejected",
    );
    let listed = admin_command(
        &["sagas", "list", "--state", "rejected", "--customer", "c-1"],
        &data,
    );
    says(&listed, 0, &falls);
    assert!(cluster.stop().success());
}

#[test]
fn a_decision_without_a_cluster_is_carried_out_by_the_next_one() {
    let cluster = Plan::shop().start();
    let id = park(&cluster);
    let (data, plan) = (cluster.data(), Plan::shop().over(&cluster));
    assert!(cluster.stop().success());
    let decided = admin_command(
        &["sagas", "compensate", &id, "--reason", "lost", "--wait", "0s"],
        &data,
    );
    says(&decided, 0, "it is not taken up yet");
    says(
        &admin_command(&["sagas", "show", &id], &data),
        0,
        "takes it up within two seconds",
    );
    says(
        &admin_command(&["sagas", "list", "--worker", "0/0"], &data),
        0,
        "to be undone: lost",
    );
    let cluster = plan.start();
    wait_until("the order to be rejected", || {
        cluster.get(&format!("/orders/{id}")).json()["status"] == "rejected"
    });
    says(&admin_command(&["doctor", "--at-rest"], &data), 0, "all is well");
    assert!(cluster.stop().success());
}

#[test]
fn an_order_that_none_of_its_owners_survived_is_parked_at_last() {
    let cluster = Plan::shop().start();
    let id = park(&cluster);
    let order: cluster::shop::contract::OrderId = id.parse().expect("an id");
    let orders = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    orders.busy_timeout(TIMEOUT).expect("set");
    // As fifty owners that died of it leave it to the keeper.
    let row = "UPDATE orders SET status = 10, reason = NULL, claim_no = 51, owner = '0/0/0' WHERE id = ?1";
    orders.execute(row, [order.key()]).expect("updated");
    drop(orders);
    cluster.wait_for("none of its owners survived it");
    says(
        &admin_command(&["sagas", "list", "--parked"], &cluster.data()),
        0,
        "each owner died",
    );
    let retried = admin_command(
        &["sagas", "retry", &id, "--reason", "mended", "--wait", "1m"],
        &cluster.data(),
    );
    says(&retried, 0, "it is confirmed");
    assert!(cluster.stop().success());
}

#[test]
fn a_program_that_does_not_know_a_live_sagas_version_is_refused_at_reload_and_at_start() {
    let cluster = Plan::shop().start();
    let id: cluster::shop::contract::OrderId = park(&cluster).parse().expect("an id");
    let (data, plan) = (cluster.data(), Plan::shop().over(&cluster));
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    orders.busy_timeout(TIMEOUT).expect("set");
    orders
        .execute("UPDATE orders SET version = 7 WHERE id = ?1", [id.key()])
        .expect("updated");
    drop(orders);
    let words = "1 live sagas of version 7; this binary runs up to 1";
    says(&admin_command(&["reload"], &data), 5, words);
    assert_eq!(cluster.get("/orders").status, 200, "what served before serves on");
    says(
        &admin_command(&["sagas", "list", "--saga-version", "7"], &data),
        0,
        &id.to_string(),
    );
    says(
        &admin_command(&["sagas", "show", &id.to_string()], &data),
        0,
        "a binary that knows saga version 7",
    );
    assert!(cluster.stop().success());
    let mut refused = plan.launch();
    assert_eq!(refused.wait_to_the_last_word().code(), Some(65));
    let result = refused.log().iter().any(|line| line.to_string().contains(words));
    assert!(result, "{:?}", refused.log());
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
    says(&admin_command(&["doctor", "--at-rest"], &data), 0, "all is well");
    drop(directory);
}

#[test]
fn a_lost_or_mixed_file_is_found_beside_a_running_cluster_and_one_parked_order_hides_nothing() {
    let cluster = Plan::shop().start();
    let (data, id) = (cluster.data(), place(&cluster));
    let order: cluster::shop::contract::OrderId = id.parse().expect("an id");
    park(&cluster);
    says(&admin_command(&["doctor"], &data), 0, "1 confirmed");
    let told = admin_command(&["doctor", "--at-rest"], &data);
    says(&told, 0, "1 parked");
    says(&told, 0, "attention: 1 order is parked and waits for a person");
    says(&told, 0, "the files are sound");
    let losses = [
        (
            "orders.db",
            "UPDATE orders SET items = replace(items, '450', '1')",
            "its lines do not make that",
        ),
        (
            "payments.db",
            "UPDATE payments SET receipt = 'ch_x'",
            "payments has the receipt \"ch_x\"",
        ),
        (
            "inventory.db",
            "DELETE FROM reservations",
            "no goods left the shelf for it",
        ),
        (
            "payments.db",
            "DELETE FROM payments",
            "payments says nothing of it",
        ),
        (
            "sandbox.db",
            "DROP TRIGGER attempt_is_never_removed; DELETE FROM attempt",
            "its standing charges are []",
        ),
    ];
    for (number, (file, sql, words)) in losses.into_iter().enumerate() {
        let copy = data.join(format!("../spoiled-{number}"));
        says(
            &admin_command(&["backup", copy.to_str().expect("a path")], &data),
            0,
            file,
        );
        let spoiled = rusqlite::Connection::open(copy.join(file)).expect("opened");
        spoiled.execute_batch(sql).expect("deleted");
        drop(spoiled);
        let found = admin_command(&["doctor"], &copy);
        says(&found, 65, words);
        says(&found, 65, &id);
    }
    let copy = data.join("../mixed");
    says(
        &admin_command(&["backup", copy.to_str().expect("a path")], &data),
        0,
        "orders.db",
    );
    let orders = rusqlite::Connection::open(copy.join("orders.db")).expect("opened");
    orders.execute("DELETE FROM outbox", []).expect("deleted");
    orders
        .execute("DELETE FROM orders WHERE id = ?1", [order.key()])
        .expect("deleted");
    drop(orders);
    let stranger = format!("goods left the shelf for {id}, which there is not");
    says(&admin_command(&["doctor", "--at-rest"], &copy), 65, &stranger);
    assert!(cluster.stop().success());
}

#[test]
fn a_decision_that_comes_too_late_for_one_order_is_told_and_the_others_are_carried_out() {
    let cluster = Plan::shop().start();
    let (data, over, open) = (cluster.data(), place(&cluster), park(&cluster));
    let decided = admin_command(
        &["sagas", "retry", &over, &open, "--reason", "x", "--wait", "1m"],
        &data,
    );
    says(&decided, 1, &format!("{over} is not parked"));
    says(&decided, 1, &format!("{open}: retry, recorded; it is confirmed"));
    assert!(cluster.stop().success());
}

#[test]
fn every_line_of_a_story_is_timed_to_the_millisecond() {
    let cluster = Plan::shop().start();
    let id = place(&cluster);
    let result = admin_command(&["sagas", "--json", "show", &id], &cluster.data());
    let story: serde_json::Value = serde_json::from_slice(&result.stdout).expect("a story");
    let lines = story["lines"].as_array().expect("lines");
    assert!(lines.iter().any(|line| line["book"] == "provider"), "{story}");
    for line in lines {
        let at = line["at"].as_str().expect("a time");
        assert_eq!(at.len(), "2026-11-22T16:02:36.123Z".len(), "{line}");
    }
    assert!(cluster.stop().success());
}
