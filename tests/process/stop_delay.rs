//! A stop with `cluster.stop_delay`: readiness says no at once, and the door closes later.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::{Answer, Cli, Cluster, Plan, admin, client, notify_socket, wait_for_status};

/// Longer than any test waits, so that only a second stop ends it.
fn plan() -> Plan {
    Plan::shop().with("[cluster]", "stop_delay = \"1h\"")
}

fn told_to_stop(cluster: &Cluster) {
    cluster.signal(Signal::SIGTERM);
    cluster.wait_for("stopping in ");
    cluster.wait_until_not_ready();
}

#[test]
fn requests_are_served_while_readiness_says_no() {
    let (plan, socket) = notify_socket(plan());
    let cluster = plan.start();
    assert_eq!(cluster.get("/healthz/readiness").status, 200);
    told_to_stop(&cluster);
    wait_for_status(&socket, "readiness says no, requests are still served");
    let not_ready = cluster.get("/healthz/readiness");
    assert_eq!(not_ready.status, 503);
    assert!(not_ready.body.contains("the cluster stops soon"), "{not_ready:?}");
    for _ in 0..20 {
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
        assert_eq!(cluster.get("/orders").status, 200);
    }
    let master = cluster.run_json(&["status"])["master"].clone();
    assert_eq!(master["state"], "stopping", "{master}");
    let left_ms = master["stops_in_ms"].as_u64().expect("a time");
    assert!((1..=3_600_000).contains(&left_ms), "{master}");
    let text = cluster.run(&["status"]).stdout;
    assert!(text.contains("stopping in 59m "), "{text}");
    // Two signals within 250 ms are one; a command is a command at once.
    assert_eq!(cluster.run(&["stop"]).code, 0);
}

#[test]
fn the_admin_listener_says_no_too() {
    let cluster = plan().arguments(&["--admin", "127.0.0.1:0"]).start();
    told_to_stop(&cluster);
    let admin = admin(&cluster);
    let ask = |path: &str| client().get(format!("http://{admin}/healthz/{path}")).call();
    let status = |path: &str| Answer::try_of(ask(path)).expect("an answer").status;
    assert_eq!((status("readiness"), status("liveness")), (503, 200));
}

#[test]
fn a_worker_that_dies_during_the_delay_is_replaced_and_its_successor_says_no() {
    let cluster = plan().replace("workers = 2", "workers = 1").start();
    told_to_stop(&cluster);
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    cluster.wait_until_not_ready();
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
}

#[test]
fn nothing_else_is_begun_during_the_delay() {
    let cluster = plan().start();
    told_to_stop(&cluster);
    for command in [
        &["reload"][..],
        &["scale", "3"],
        &["restart", "0"],
        &["drain", "0"],
        &["upgrade"],
    ] {
        let result = cluster.run(command);
        assert_ne!(result.code, 0, "{command:?}");
        assert!(result.stdout.contains("the cluster is stopping"), "{result:?}");
    }
}

#[test]
fn a_second_signal_skips_the_rest_of_the_delay() {
    let mut cluster = plan().start();
    told_to_stop(&cluster);
    // Two that follow each other within 250 ms are one.
    std::thread::sleep(Duration::from_millis(300));
    cluster.signal(Signal::SIGTERM);
    cluster.wait_for("stopping: workers finish what they accepted");
    assert_eq!(cluster.wait().code(), Some(0));
}

#[test]
fn the_drain_begins_by_itself_when_the_delay_is_over() {
    let mut cluster = Plan::shop().with("[cluster]", "stop_delay = \"300ms\"").start();
    cluster.signal(Signal::SIGTERM);
    assert_eq!(cluster.wait_to_the_last_word().code(), Some(0));
    let log = cluster.log();
    let at = |text: &str| {
        let message = |line: &serde_json::Value| line["message"].as_str().map(str::to_owned);
        let mut messages = log.iter().map(message);
        messages.position(|message| message.is_some_and(|message| message.starts_with(text)))
    };
    let delayed = at("stopping in 300 ms (stop_delay)").expect("it says so");
    assert!(at("stopping: workers finish").is_some_and(|begun| begun > delayed));
}
