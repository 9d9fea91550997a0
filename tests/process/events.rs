//! Readers of the events of a cluster: whatever dies, each event is seen, and by a page exactly once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::admin_commands::{admin_command, says};
use crate::common::{self, Answer, Cluster, Plan, TIMEOUT, order, place};

const CONFIRMED: &str = "types=shop.order.confirmed.v1";

/// One page, unless its worker died.
fn page(cluster: &Cluster, query: &str) -> Option<Answer> {
    Answer::try_of(
        common::client()
            .get(cluster.url(&format!("/events?{query}")))
            .call(),
    )
    .ok()
}

fn now(cluster: &Cluster) -> String {
    let page = page(cluster, "after=now").expect("an answer").json();
    page["next"].as_str().expect("a position").to_owned()
}

fn subjects(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items
        .map(|item| item["subject"].as_str().expect("a subject").to_owned())
        .collect()
}

/// Follows the pages until it has seen as many events as there are orders; what it saw, in order.
fn follow_pages(cluster: &Cluster, from: &str, is_done: impl Fn(&[String]) -> bool) -> Vec<String> {
    let (mut position, mut seen) = (from.to_owned(), Vec::new());
    let deadline = Instant::now() + 2 * TIMEOUT;
    while !is_done(&seen) {
        assert!(Instant::now() < deadline, "{} events seen", seen.len());
        let answer = page(cluster, &format!("{CONFIRMED}&wait=200ms&after={position}"));
        let Some(answer) = answer.filter(|answer| answer.status == 200) else {
            continue;
        };
        let page = answer.json();
        seen.extend(subjects(&page));
        page["next"]
            .as_str()
            .expect("a position")
            .clone_into(&mut position);
    }
    seen
}

/// Reads one stream to its end, or until it is done; the id of its last event.
fn read_stream(
    cluster: &Cluster,
    last_id: &str,
    seen: &Mutex<BTreeSet<String>>,
    is_done: impl Fn() -> bool,
) -> Option<String> {
    let mut stream = TcpStream::connect(cluster.address()).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(50))).ok()?;
    let request = format!(
        "GET /events?{CONFIRMED} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\
         last-event-id: {last_id}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let (mut lines, mut line, mut id, mut told) = (BufReader::new(stream), Vec::new(), None, None);
    loop {
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => return told,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !is_done() => continue,
            Err(_) => return told,
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if let Some(found) = text.strip_prefix("id: ") {
            id = Some(found.to_owned());
        } else if let Some(data) = text.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data).expect("an event");
            let subject = event["subject"].as_str().expect("a subject").to_owned();
            seen.lock().expect("a lock").insert(subject);
        } else if text.is_empty() {
            told = id.take().or(told);
        }
    }
}

fn follow_stream(
    cluster: &Cluster,
    from: &str,
    is_done: impl Fn(&BTreeSet<String>) -> bool,
) -> BTreeSet<String> {
    let seen = Mutex::new(BTreeSet::new());
    let is_done = || is_done(&seen.lock().expect("a lock"));
    let (mut last_id, deadline) = (from.to_owned(), Instant::now() + 2 * TIMEOUT);
    while !is_done() {
        assert!(
            Instant::now() < deadline,
            "{:?} seen",
            seen.lock().expect("a lock").len()
        );
        if let Some(told) = read_stream(cluster, &last_id, &seen, is_done) {
            last_id = told;
        }
    }
    seen.into_inner().expect("a lock")
}

/// Places orders, each until it is confirmed, until it is told to stop; their ids.
fn place_orders(cluster: &Cluster, client: usize, stop: &AtomicBool) -> Vec<String> {
    let mut placed = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = format!("events-{client}-{}", placed.len());
        let deadline = Instant::now() + TIMEOUT;
        let confirmed = loop {
            assert!(Instant::now() < deadline, "{key} got no final answer");
            let request = common::client()
                .post(cluster.url("/orders"))
                .header("content-type", "application/json");
            let answer = Answer::try_of(request.header("idempotency-key", &key).send(order()));
            if let Some(answer) = answer.ok().filter(|answer| answer.status == 201) {
                break answer.json()["id"].as_str().expect("an id").to_owned();
            }
        };
        placed.push(confirmed);
    }
    placed
}

#[test]
fn followers_see_each_confirmed_order_while_workers_are_killed_and_replaced() {
    let cluster = Plan::shop()
        .with("[cluster]", "early_death = \"10ms\"\nrestart_limit = 1000")
        .start();
    let start = now(&cluster);
    let (stop, all) = (AtomicBool::new(false), Mutex::new(None));
    let count = |seen: usize| all.lock().expect("a lock").is_some_and(|all| seen >= all);
    std::thread::scope(|scope| {
        let placing: Vec<_> = (0..3)
            .map(|client| {
                scope.spawn({
                    let (cluster, stop) = (&cluster, &stop);
                    move || place_orders(cluster, client, stop)
                })
            })
            .collect();
        let pages = scope.spawn(|| follow_pages(&cluster, &start, |seen| count(seen.len())));
        let stream = scope.spawn(|| follow_stream(&cluster, &start, |seen| count(seen.len())));
        for round in 0..6 {
            cluster.wait_for_workers("both workers", |workers| workers.values().flatten().count() >= 2);
            let pid = cluster.workers()[&(round % 2)][0];
            let mark = cluster.mark();
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
            cluster.wait_from(mark, "worker ready after");
        }
        says(&admin_command(&["reload"], &cluster.data()), 0, "");
        stop.store(true, Ordering::Relaxed);
        let placed: Vec<String> = placing
            .into_iter()
            .flat_map(|thread| thread.join().expect("placed"))
            .collect();
        *all.lock().expect("a lock") = Some(placed.len());
        let confirmed: BTreeSet<String> = placed.into_iter().collect();
        let pages = pages.join().expect("followed");
        let once: BTreeSet<String> = pages.iter().cloned().collect();
        assert_eq!(once.len(), pages.len(), "an event came twice in pages");
        assert_eq!(once, confirmed);
        assert_eq!(stream.join().expect("followed"), confirmed);
    });
    assert!(cluster.stop().success());
}

#[test]
fn a_command_that_decides_wakes_a_reader_and_the_end_of_a_worker_ends_its_streams() {
    let cluster = Plan::shop().start();
    let id = place(&cluster);
    let order: cluster::shop::contract::OrderId = id.parse().expect("an id");
    let orders = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    orders.busy_timeout(TIMEOUT).expect("set");
    let parked = "UPDATE orders SET status = 11, reason = '{\"parked\":\"a test\"}' WHERE id = ?1";
    orders.execute(parked, [order.key()]).expect("parked");
    drop(orders);
    let mut stream = TcpStream::connect(cluster.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    let request = "GET /events?after=now HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("written");
    let mut lines = BufReader::new(stream);
    let mut until = |what: &str| {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(
                lines.read_line(&mut line).expect("a line") > 0,
                "the stream ended before {what}"
            );
        }
    };
    until("retry:");
    let confirmed = admin_command(
        &["sagas", "confirm", &id, "--reason", "it was sent"],
        &cluster.data(),
    );
    says(&confirmed, 0, "recorded");
    until(&format!("{id}.confirmed"));
    assert!(cluster.stop().success());
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).expect("the end");
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream was cut: {rest:?}");
}

#[test]
fn a_backup_that_is_restored_has_other_positions() {
    let cluster = Plan::shop().start();
    place(&cluster);
    let (data, copy) = (cluster.data(), cluster.data().with_file_name("copy"));
    says(
        &admin_command(&["backup", copy.to_str().expect("text")], &data),
        0,
        "orders.db",
    );
    place(&cluster);
    let before = now(&cluster);
    let plan = Plan::shop().over(&cluster);
    assert!(cluster.stop().success());
    for file in ["orders.db", "inventory.db", "payments.db", "sandbox.db"] {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(data.join(format!("{file}{suffix}")));
        }
        // In place: the file keeps its inode.
        std::fs::copy(copy.join(file), data.join(file)).expect("restored");
    }
    let cluster = plan.start();
    let refused = page(&cluster, &format!("after={before}")).expect("an answer");
    assert_eq!(refused.status, 410, "{refused:?}");
    let refused = refused.json();
    assert_eq!(refused["code"], "position_foreign");
    let oldest = refused["oldest"].as_str().expect("a position");
    let all = page(&cluster, &format!("{CONFIRMED}&after={oldest}"))
        .expect("an answer")
        .json();
    assert_eq!(subjects(&all).len(), 1, "{all}");
    assert!(cluster.stop().success());
}

#[test]
fn a_stream_is_told_to_curl_as_the_how_to_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no curl");
        return;
    }
    let cluster = Plan::shop().start();
    let mut curl = Command::new("curl")
        .args([
            "-sN",
            "-H",
            "accept: text/event-stream",
            &cluster.url("/events?after=now"),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(curl.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert!(line.starts_with("retry:"), "{line}");
    let id = place(&cluster);
    while !line.contains(&format!("{id}.confirmed")) {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0);
    }
    curl.kill().expect("killed");
    curl.wait().expect("reaped");
    assert!(cluster.stop().success());
}

#[test]
fn the_summaries_of_customers_outlive_the_leader_and_are_built_anew_by_replay() {
    let cluster = Plan::shop()
        .with("[cluster]", "early_death = \"10ms\"\nrestart_limit = 1000")
        .start();
    let orders_of = |cluster: &Cluster| {
        let answer = Answer::try_of(common::client().get(cluster.url("/customers/c-1/summary")).call());
        answer
            .ok()
            .filter(|answer| answer.status == 200)
            .map(|answer| answer.json()["orders"].clone())
    };
    let wait_for = |cluster: &Cluster, orders: u64| {
        let deadline = Instant::now() + TIMEOUT;
        while orders_of(cluster) != Some(Value::from(orders)) {
            assert!(
                Instant::now() < deadline,
                "{:?}, expected {orders}",
                orders_of(cluster)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    place(&cluster);
    wait_for(&cluster, 1);
    for (slot, orders) in [(0, 2), (1, 3)] {
        let mark = cluster.mark();
        kill(Pid::from_raw(cluster.workers()[&slot][0]), Signal::SIGKILL).expect("killed");
        cluster.wait_from(mark, "worker ready after");
        place(&cluster);
        wait_for(&cluster, orders);
    }
    says(
        &admin_command(&["replay"], &cluster.data()),
        0,
        "1 totals of customers",
    );
    place(&cluster);
    wait_for(&cluster, 4);
    says(
        &admin_command(&["doctor"], &cluster.data()),
        0,
        "1 totals of customers, 0 events behind",
    );
    let (data, plan) = (cluster.data(), Plan::shop().over(&cluster));
    assert!(cluster.stop().success());
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(data.join(format!("customers.db{suffix}")));
    }
    let cluster = plan.start();
    wait_for(&cluster, 4);
    assert!(cluster.stop().success());
}
