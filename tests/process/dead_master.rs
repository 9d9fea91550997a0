//! Sagas move on without anybody who tells of a death: the master is dead, or stopped, when a worker dies.

use std::time::{Duration, Instant};

use crate::common::{Cluster, Plan, TIMEOUT};
use cluster::shop::evidence::audit::{Moment, check_invariants};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// The provider takes its time, so that whoever dies has sagas under way.
fn plan() -> Plan {
    Plan::shop()
        .replace("workers = 2", "workers = 3")
        .with("[provider_faults]", "slow = 100\nlate_by = \"3s\"")
        .with("[shop]", "order_wait = \"50ms\"")
}

/// One number out of the orders' file.
fn count(cluster: &Cluster, sql: &str) -> i64 {
    let file = cluster.data().join("orders.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(file, flags).expect("opened");
    connection.busy_timeout(TIMEOUT).expect("set");
    connection.query_row(sql, [], |row| row.get(0)).expect("a number")
}

fn pending(cluster: &Cluster) -> i64 {
    count(cluster, "SELECT count(*) FROM orders WHERE status = 10")
}

/// Places orders until each worker has some under way.
fn place_orders(cluster: &Cluster) {
    let items = json!([{ "sku": "espresso-cup", "quantity": 1 }]);
    let body =
        json!({ "customer_id": "c-1", "items": items, "payment": { "method": "pm_card_visa" } }).to_string();
    let owners = "SELECT count(DISTINCT owner) FROM orders WHERE status = 10";
    let deadline = Instant::now() + TIMEOUT;
    while count(cluster, owners) < 3 {
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| cluster.post("/orders", &[], &body));
            }
        });
        assert!(Instant::now() < deadline, "some worker gets no orders");
    }
}

/// Kills a worker that has orders under way; its life.
fn kill_an_owner(cluster: &Cluster) {
    let pid = cluster.worker(0);
    let owned = "SELECT count(*) FROM orders WHERE status = 10 AND owner LIKE '%/0/%'";
    assert!(count(cluster, owned) > 0, "the worker owns nothing");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the worker lives");
}

/// Waits until every order is over, for less long than the siblings live.
fn wait_for_rest(cluster: &Cluster, within: Duration) {
    let deadline = Instant::now() + within;
    while pending(cluster) > 0 {
        let stuck = pending(cluster);
        assert!(
            Instant::now() < deadline,
            "{stuck} orders of the dead stay pending"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        count(cluster, "SELECT count(*) FROM takeovers") > 0,
        "nothing was taken over"
    );
}

#[test]
fn the_orders_of_a_worker_that_dies_after_its_master_go_on_in_its_siblings() {
    let mut cluster = plan().start();
    let url = cluster.url("/drill/sleep?ms=25000");
    for _ in 0..24 {
        // Connections that keep the siblings draining; nobody waits for the answers.
        let url = url.clone();
        std::thread::spawn(move || drop(ureq::get(&url).call()));
    }
    place_orders(&cluster);
    cluster.kill_master();
    kill_an_owner(&cluster);
    wait_for_rest(&cluster, Duration::from_secs(20));
    let audit = check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
}

#[test]
fn workers_without_a_master_leave_no_order_of_a_dead_sibling_behind() {
    let mut cluster = plan().start();
    place_orders(&cluster);
    // Nothing but their sagas keeps the siblings.
    cluster.kill_master();
    kill_an_owner(&cluster);
    wait_for_rest(&cluster, Duration::from_secs(25));
    let audit = check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
}

#[test]
fn the_orders_of_a_worker_that_dies_while_its_master_is_stopped_go_on_in_its_siblings() {
    let cluster = plan().start();
    place_orders(&cluster);
    cluster.signal(Signal::SIGSTOP);
    kill_an_owner(&cluster);
    wait_for_rest(&cluster, TIMEOUT / 2);
    cluster.signal(Signal::SIGCONT);
    let audit = check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert!(cluster.stop().success());
}
