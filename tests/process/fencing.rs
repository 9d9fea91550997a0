//! Owners that are only asleep: stopped, claimed from as if they were dead, and woken up again. Whatever they
//! were about to do, they write nothing any more for a saga that was claimed.
//!
//! A sleeper counts when it had sagas under way that were claimed, was not killed as a holder of a store's
//! lock, woke up, tried to go on and was refused, which it says itself.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Answer, Cluster, Plan, TIMEOUT};
use cluster::shop::evidence::audit::{Moment, check_invariants};
use cluster::store::OfdLock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// As many are woken up in every run, and as many more on request.
const SLEEPERS: usize = 20;
const MANY_SLEEPERS: usize = 100;

/// Every call to the provider takes its time, so that a stopped worker always has sagas under way.
fn plan() -> Plan {
    let cluster = "heartbeat_timeout = \"30s\"\nearly_death = \"10ms\"\nrestart_limit = 1000";
    Plan::shop()
        .with("[cluster]", cluster)
        .with("[provider_faults]", "slow = 100\nlate_by = \"400ms\"")
}

/// A client that does not wait long for a worker that sleeps.
fn brisk(cluster: &Cluster, path: &str, key: &str, body: &str) -> Option<Answer> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(Duration::from_millis(1500)))
        .build()
        .into();
    let request = agent
        .post(cluster.url(path))
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    Answer::try_of(request.send(body)).ok()
}

fn place_orders(cluster: &Cluster, client: usize, stop: &AtomicBool, confirmed: &AtomicU64) {
    let body = crate::common::order();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("sleeper-{client}-{number}");
        let deadline = Instant::now() + TIMEOUT;
        while brisk(cluster, "/orders", &key, &body).is_none_or(|answer| answer.status != 201) {
            assert!(Instant::now() < deadline, "{key} got no final answer");
        }
        confirmed.fetch_add(1, Ordering::Relaxed);
        number += 1;
    }
}

/// Stops a worker, has a sibling claim from it, wakes it up; how many sagas were claimed, and whether it was
/// refused.
fn claim_from_a_sleeper(cluster: &Cluster, round: usize) -> (usize, bool) {
    let pid = cluster.worker(u16::try_from(round % 2).expect("0 or 1"));
    let life = life_of(cluster, pid).expect("a record");
    let mark = cluster.mark();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("the worker lives");
    let deadline = Instant::now() + TIMEOUT;
    let claimed = loop {
        if let Some(answer) = brisk(cluster, &format!("/drill-claim?life={life}"), "claim", "") {
            break answer.body.trim().parse().expect("a number");
        }
        assert!(Instant::now() < deadline, "nobody claimed");
    };
    // It may be dead by now, if it held a lock.
    let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
    if claimed == 0 {
        return (0, false);
    }
    // A fenced worker finds out with its next write, and is replaced.
    cluster.wait_until(mark, "the sleeper's replacement", |line| {
        line["life"] == life.as_str() && line["message"].as_str().is_some_and(is_an_end)
    });
    let who = format!("worker {life}");
    let refused = |line: &Value| {
        let reason = line["reason"].as_str().unwrap_or_default();
        line["who"] == who.as_str() && reason.contains("its orders were taken over")
    };
    (claimed, cluster.log()[mark..].iter().any(refused))
}

/// The file whose lock a stopped worker does not give back; its siblings hold one for a moment only.
fn held_file(cluster: &Cluster) -> Option<PathBuf> {
    let held = |file: &PathBuf| {
        let lock = OfdLock::open(&file.with_extension("db.lock")).expect("opened");
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(100) {
            if lock.try_take().expect("asked") {
                lock.release().expect("given back");
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    };
    ["orders.db", "inventory.db", "payments.db", "sandbox.db"]
        .map(|file| cluster.data().join(file))
        .into_iter()
        .find(held)
}

/// Waits until somebody commits to the file.
fn wait_for_a_commit(file: &Path) {
    let connection = rusqlite::Connection::open(file).expect("opened");
    let version = || -> i64 {
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.expect("a number")
    };
    let (before, deadline) = (version(), Instant::now() + TIMEOUT);
    while version() == before {
        assert!(Instant::now() < deadline, "{} is locked for good", file.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_an_end(message: &str) -> bool {
    message.contains("worker crashed") || message.contains("worker gone")
}

/// The life of a worker; none while a worker that has just died or started is on its way out of or into the
/// records.
fn life_of(cluster: &Cluster, pid: i32) -> Option<String> {
    let text = std::fs::read(cluster.data().join("run/workers.json")).expect("readable");
    let records: serde_json::Value = serde_json::from_slice(&text).expect("records");
    let records = records.as_array().expect("a list");
    let record = records.iter().find(|record| record["pid"] == pid)?;
    Some(record["life"].as_str().expect("a life").to_owned())
}

#[test]
fn a_worker_that_is_stopped_while_it_holds_a_stores_lock_holds_nobody_up_for_long() {
    let cluster = Plan::shop()
        .with(
            "[cluster]",
            "heartbeat_timeout = \"30s\"\nearly_death = \"10ms\"\nrestart_limit = 1000",
        )
        .start();
    let (stop, confirmed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for client in 0..12 {
            let (cluster, stop, confirmed) = (&cluster, &stop, &confirmed);
            scope.spawn(move || place_orders(cluster, client, stop, confirmed));
        }
        let (mut caught, mut round) = (0, 0_u16);
        while caught < 2 && round < 2_000 {
            round += 1;
            let (pid, mark) = (cluster.worker(round % 2), cluster.mark());
            let Some(life) = life_of(&cluster, pid) else {
                continue;
            };
            if kill(Pid::from_raw(pid), Signal::SIGSTOP).is_err() {
                // The records still name the one that was caught before.
                continue;
            }
            let stopped = Instant::now();
            let Some(file) = held_file(&cluster) else {
                // It may be dead by now: on a busy machine a sibling was taken for it.
                let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
                continue;
            };
            wait_for_a_commit(&file);
            println!(
                "{}: a sibling committed {:?} after the stop",
                file.display(),
                stopped.elapsed()
            );
            // Not by the heartbeat's timeout, which is much longer.
            assert!(stopped.elapsed() < Duration::from_secs(20));
            cluster.wait_until(mark, "the end of the holder", |line| {
                line["life"] == life.as_str() && line["message"].as_str().is_some_and(is_an_end)
            });
            caught += 1;
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            caught, 2,
            "no worker was stopped while it held a lock, in {round} tries"
        );
    });
    assert!(cluster.stop().success());
}

#[test]
fn a_sleeper_that_wakes_up_writes_nothing_for_a_claimed_saga() {
    wake_up(SLEEPERS);
}

#[test]
#[ignore = "takes a minute: cargo test --test process -- --ignored"]
fn a_hundred_sleepers_that_wake_up_write_nothing_for_a_claimed_saga() {
    wake_up(MANY_SLEEPERS);
}

/// As many workers are stopped, claimed from and woken up, one after the other.
fn wake_up(many: usize) {
    let cluster = plan().start();
    let (stop, confirmed) = (AtomicBool::new(false), AtomicU64::new(0));
    let claims = std::thread::scope(|scope| {
        for client in 0..12 {
            let (cluster, stop, confirmed) = (&cluster, &stop, &confirmed);
            scope.spawn(move || place_orders(cluster, client, stop, confirmed));
        }
        let (mut round, mut sleepers, mut claims) = (0, 0, 0);
        while sleepers < many && round < 4 * many {
            let (claimed, refused) = claim_from_a_sleeper(&cluster, round);
            (round, claims) = (round + 1, claims + claimed);
            sleepers += usize::from(refused);
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            sleepers, many,
            "too few of {round} sleepers woke up and were refused"
        );
        claims
    });
    let deadline = Instant::now() + TIMEOUT;
    while check_invariants(&cluster.data(), Moment::Any)
        .expect("an audit")
        .pending
        > 0
    {
        assert!(Instant::now() < deadline, "orders never ended");
    }
    let audit = check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    println!("{claims} sagas were claimed; {many} sleepers woke up and were refused; {audit:?}");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert_eq!(audit.confirmed as u64, confirmed.load(Ordering::Relaxed));
    assert!(cluster.stop().success());
}
