//! What a worker says that cannot be true.

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::app::{COUNTS, DENIES, STAMPS, TALKS};
use crate::common::{Cli, Cluster, Plan, Scrape, TIMEOUT, admin};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "what_another_process_says_for_a_worker_and_a_second_ready_are_dropped_and_told_once",
        what_another_process_says_for_a_worker_and_a_second_ready_are_dropped_and_told_once,
    ),
    (
        "counters_that_fall_are_told_and_no_metric_ever_does",
        counters_that_fall_are_told_and_no_metric_ever_does,
    ),
    (
        "a_stamp_from_the_future_hides_no_hang",
        a_stamp_from_the_future_hides_no_hang,
    ),
    (
        "a_canary_that_says_ready_and_denies_it_when_it_is_asked_is_backed_out",
        a_canary_that_says_ready_and_denies_it_when_it_is_asked_is_backed_out,
    ),
];

/// Two workers of this program, of which the one in slot 0 misbehaves.
pub(crate) fn misbehaving(way: &str) -> Plan {
    Plan::shop()
        .replace("[drill]\nroutes = true\n", "")
        .program(&std::env::current_exe().expect("a program"))
        .environment("MISBEHAVIOUR", way)
}

/// How many lines say that of the first worker of slot 0.
fn told(cluster: &Cluster, words: &str) -> usize {
    let of_it = |line: &&serde_json::Value| {
        line["life"] == "1/0/1" && line["message"].as_str().is_some_and(|said| said.contains(words))
    };
    cluster.log().iter().filter(of_it).count()
}

fn what_another_process_says_for_a_worker_and_a_second_ready_are_dropped_and_told_once() {
    let cluster = misbehaving(TALKS).start();
    for words in [
        "dropped a notification that came from another process",
        "dropped a notification that is too long",
        "dropped a second READY=1",
    ] {
        cluster.wait_for(words);
        assert_eq!(told(&cluster, words), 1, "{words}");
    }
    assert_eq!(told(&cluster, "worker ready after"), 1);
    assert_eq!(
        told(&cluster, "worker draining"),
        0,
        "somebody else said STOPPING"
    );
    cluster.wait_until_serving(2);
    assert_eq!(cluster.get("/").status, 200);
    assert!(cluster.stop().success());
}

fn counters_that_fall_are_told_and_no_metric_ever_does() {
    let cluster = misbehaving(COUNTS).arguments(&["--admin", "127.0.0.1:0"]).start();
    let admin = admin(&cluster);
    let mut before = Scrape::of(admin);
    let mut scrape = |times: usize| {
        for _ in 0..times {
            // The liar may be the one who answers, and its own table of requests is full of nonsense.
            let Ok(now) = Scrape::try_of(admin) else { continue };
            assert_eq!(now.fallen_since(&before), Vec::<String>::new());
            before = now;
        }
    };
    cluster.wait_for("counters on its scoreboard that fell");
    scrape(30);
    assert_eq!(told(&cluster, "counters on its scoreboard that fell"), 1);
    cluster.wait_until_serving(2);
    let mark = cluster.mark();
    cluster.run_json(&["top", "--count", "1"]);
    let liar = cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    scrape(5);
    assert_ne!(cluster.worker(0), liar);
    cluster.run_json(&["why", "0"]);
    cluster.wait_until_serving(2);
    assert!(cluster.stop().success());
}

fn a_stamp_from_the_future_hides_no_hang() {
    let plan = misbehaving(STAMPS).with(
        "[cluster]",
        "heartbeat_interval = \"100ms\"\nheartbeat_timeout = \"1s\"",
    );
    let cluster = plan.start();
    let liar = cluster.worker(0);
    cluster.wait_for("is in the future");
    cluster.wait_for("worker late");
    cluster.wait_for("killing worker");
    cluster.wait_for_workers("an honest one", |workers| {
        workers
            .get(&0)
            .is_some_and(|pids| pids.len() == 1 && pids[0] != liar)
    });
    assert_eq!(told(&cluster, "is in the future"), 1);
    assert_eq!(cluster.run_json(&["why", "0"])["deaths"][0]["kind"], "hang");
    assert!(cluster.stop().success());
}

fn a_canary_that_says_ready_and_denies_it_when_it_is_asked_is_backed_out() {
    let cluster = misbehaving(DENIES).start();
    let before = cluster.workers();
    let result = cluster.run(&["reload", "--json"]);
    assert_eq!(result.code, 5, "{result:?}");
    let result = result.json();
    assert_eq!(result["cause"]["failure"], "readiness_failed", "{result}");
    assert!(
        result["reason"].to_string().contains("the cache is cold"),
        "{result}"
    );
    let deadline = Instant::now() + TIMEOUT;
    while cluster.workers() != before {
        assert!(Instant::now() < deadline, "the old generation was touched");
    }
    let alive = before
        .values()
        .flatten()
        .all(|pid| kill(Pid::from_raw(*pid), None).is_ok());
    assert!(alive, "the old generation was touched");
    assert_eq!(cluster.run_json(&["status"])["master"]["generation"], 1);
    cluster.wait_until_serving(2);
    assert!(cluster.stop().success());
}
