//! `why`: what is known of a life that ended.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Answer, Cli, Cluster, Plan, client, wait_until};

/// A request that stays unanswered because its worker dies with it.
fn request(cluster: &Cluster, path: &str) -> std::thread::JoinHandle<Result<Answer, String>> {
    let url = cluster.url(path);
    std::thread::spawn(move || Answer::try_of(client().get(url).call()))
}

fn last_death(cluster: &Cluster, slot: u16) -> Value {
    let why = cluster.run_json(&["why", &slot.to_string()]);
    assert_eq!(why["answer"], "why");
    why["deaths"][0].clone()
}

fn one_worker() -> Plan {
    Plan::shop().replace("workers = 2", "workers = 1")
}

/// Asks again and again; each asking waits for the master.
/// Waits until the only worker is answering something.
fn wait_until_busy(cluster: &Cluster) {
    wait_until("it is busy", || {
        cluster.run_json(&["status"])["slots"][0]["worker"]["in_flight"] == 1
    });
}

#[test]
fn nothing_is_told_of_a_slot_whose_worker_lives() {
    let cluster = Plan::shop().start();
    let why = cluster.run_json(&["why", "0"]);
    assert_eq!(
        (why["state"].as_str(), why["deaths"].as_array().map(Vec::len)),
        (Some("serving"), Some(0))
    );
    let text = cluster.run(&["why", "0"]);
    assert!(text.stdout.contains("none of its workers has ended"), "{text:?}");
}

#[test]
fn a_killed_worker_is_told_with_what_it_was_answering_and_what_followed() {
    let cluster = one_worker().start();
    let waiting = request(&cluster, "/drill/sleep?ms=60000");
    wait_until_busy(&cluster);
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    assert!(waiting.join().expect("joined").is_err());
    let death = last_death(&cluster, 0);
    assert_eq!(
        (death["kind"].as_str(), death["signal"].as_i64()),
        (Some("signal"), Some(9)),
        "{death}"
    );
    assert_eq!(death["life"], "1/0/1");
    let request = &death["in_flight"][0];
    assert_eq!(
        (request["method"].as_str(), request["path"].as_str()),
        (Some("GET"), Some("/drill/sleep"))
    );
    assert!(
        !death.to_string().contains("60000"),
        "a query may hold secrets: {death}"
    );
    assert!(
        death["memory"]["peak_rss_bytes"].as_u64() > Some(1 << 20),
        "{death}"
    );
    assert!(
        death["decision"]
            .as_str()
            .expect("words")
            .contains("filled again"),
        "{death}"
    );
    let status = cluster.run_json(&["status"]);
    assert!(
        status["slots"][0]["last_cause"]
            .as_str()
            .expect("a cause")
            .contains("SIGKILL"),
        "{status}"
    );
    let text = cluster.run(&["why", "0"]).stdout;
    assert!(text.contains("GET /drill/sleep for "), "{text}");
}

#[test]
fn a_hang_is_told_with_its_evidence() {
    let cluster = one_worker()
        .with(
            "[cluster]",
            "heartbeat_interval = \"100ms\"\nheartbeat_timeout = \"1s\"",
        )
        .start();
    let mark = cluster.mark();
    let waiting = request(&cluster, "/drill/spin?ms=60000");
    cluster.wait_from(mark, "worker ready");
    assert!(waiting.join().expect("joined").is_err());
    let death = last_death(&cluster, 0);
    assert_eq!(
        (death["kind"].as_str(), death["process_state"].as_str()),
        (Some("hang"), Some("R")),
        "{death}"
    );
    assert_eq!(death["in_flight"][0]["path"], "/drill/spin");
    assert!(
        death["cause"].as_str().expect("words").contains("spins"),
        "{death}"
    );
    assert_eq!(death["memory"]["oom_kill"], false);
}

#[test]
fn an_abort_is_told_with_its_signal() {
    let cluster = one_worker().start();
    let mark = cluster.mark();
    assert!(request(&cluster, "/drill/abort").join().expect("joined").is_err());
    cluster.wait_from(mark, "worker ready");
    let death = last_death(&cluster, 0);
    assert_eq!(
        (death["kind"].as_str(), death["signal"].as_i64()),
        (Some("signal"), Some(6)),
        "{death}"
    );
    assert_eq!(death["in_flight"][0]["path"], "/drill/abort");
}

#[test]
fn a_panic_in_a_handler_costs_its_request_and_no_life() {
    let cluster = one_worker().start();
    assert_eq!(cluster.get("/drill/panic").status, 500);
    assert_eq!(
        cluster.run_json(&["why", "0"])["deaths"].as_array().map(Vec::len),
        Some(0)
    );
    let slot = cluster.run_json(&["status"])["slots"][0].clone();
    assert_eq!(
        (
            slot["worker"]["failed"].as_u64(),
            slot["worker"]["epoch"].as_u64()
        ),
        (Some(1), Some(1))
    );
}

#[test]
fn those_who_were_asked_to_go_are_told_with_what_for() {
    let cluster = Plan::shop().start();
    cluster.run_json(&["reload"]);
    cluster.run_json(&["restart", "1"]);
    cluster.run_json(&["scale", "1"]);
    // Whoever drains may take a moment longer than the answer.
    let kinds = || -> Vec<String> {
        let why = cluster.run_json(&["why", "1"]);
        let deaths = why["deaths"].as_array().expect("deaths").iter();
        deaths
            .map(|death| death["kind"].as_str().expect("a kind").to_owned())
            .collect()
    };
    wait_until("three deaths are told", || kinds().len() == 3);
    // Deaths are told in the order in which they happened, and drains overlap.
    let mut result = kinds();
    result.sort();
    assert_eq!(result, ["reload", "request", "scale_down"]);
}
