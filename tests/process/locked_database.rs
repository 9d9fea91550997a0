//! Another program keeps a database locked: requests are refused with that reason, not with a full disk, and
//! orders go on when it has finished.

use std::time::{Duration, Instant};

use crate::common::{Answer, Cluster, Plan, TIMEOUT, order};
use cluster::shop::evidence::audit::{Moment, check_invariants};
use nix::fcntl::{FcntlArg, fcntl};

fn start() -> Cluster {
    Plan::shop()
        .with("[shop]", "order_wait = \"50ms\"")
        .with("[http]", "request_timeout = \"10s\"")
        .start()
}

/// The first answer that refuses the order because a database is locked. Before it, orders wait for the
/// database.
fn refusal(cluster: &Cluster) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = cluster.post("/orders", &[], &order());
        assert_ne!(answer.status, 507, "{answer:?}");
        if answer.status == 503 && answer.json()["code"] == "database_locked" {
            return answer;
        }
        assert!(Instant::now() < deadline, "no order is refused: {answer:?}");
    }
}

/// Waits until readiness is refused with this word.
fn wait_for_readiness_to_say(cluster: &Cluster, word: &str) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = cluster.get("/healthz/readiness");
        if answer.status == 503 && answer.body.contains(word) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "readiness never says {word}: {answer:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until orders are taken again, readiness says so, and all of them have ended.
fn wait_for_rest(cluster: &Cluster) {
    let deadline = Instant::now() + TIMEOUT;
    while cluster.post("/orders", &[], &order()).status != 201
        || cluster.get("/healthz/readiness").status != 200
    {
        assert!(Instant::now() < deadline, "no order is taken");
    }
    loop {
        let audit = check_invariants(&cluster.data(), Moment::Any).expect("an audit");
        assert_eq!((audit.parked, audit.rejected), (0, 0), "{audit:?}");
        if audit.pending == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{audit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_transaction_of_another_program(file: &str) {
    let cluster = start();
    let other = rusqlite::Connection::open(cluster.data().join(file)).expect("opened");
    other.busy_timeout(TIMEOUT).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = refusal(&cluster);
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert!(
        refused.json()["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("another program")),
        "{refused:?}"
    );
    wait_for_readiness_to_say(&cluster, &format!("{file}: another program"));
    other.execute_batch("ROLLBACK").expect("released");
    wait_for_rest(&cluster);
    assert!(cluster.stop().success());
}

#[test]
fn orders_that_another_program_has_locked_are_refused_with_that_reason() {
    a_transaction_of_another_program("orders.db");
}

#[test]
fn a_ledger_that_another_program_has_locked_is_a_reason_to_refuse_orders_and_readiness() {
    a_transaction_of_another_program("sandbox.db");
}

#[test]
fn a_lock_file_that_another_program_holds_is_named_as_that() {
    let cluster = start();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(cluster.data().join("orders.db.lock"))
        .expect("opened");
    let whole = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole)).expect("locked");
    refusal(&cluster);
    wait_for_readiness_to_say(&cluster, "orders.db: another process holds the lock file");
    cluster.wait_for("writes have waited for 2 s for a lock");
    drop(file);
    wait_for_rest(&cluster);
    assert!(cluster.stop().success());
}
