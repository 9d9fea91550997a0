//! `cluster health`, as a health check or a probe runs it.

use nix::sys::signal::Signal;

use crate::common::{Cli, Plan, run};

#[test]
fn a_cluster_that_serves_is_healthy_and_one_that_stops_is_only_alive() {
    let cluster = Plan::shop().with("[cluster]", "stop_delay = \"1h\"").start();
    cluster.wait_until_serving(2);
    let ready = cluster.run(&["health"]);
    assert_eq!(
        (ready.code, ready.stdout.as_str()),
        (0, "ready: 2 of 2 workers serve\n")
    );
    assert_eq!(cluster.run_json(&["health"])["healthy"], true);
    cluster.signal(Signal::SIGTERM);
    cluster.wait_for("stopping in ");
    let stopping = cluster.run(&["health", "--ready"]);
    assert_eq!(
        (stopping.code, stopping.stdout.as_str()),
        (1, "not ready: the cluster stops\n")
    );
    let alive = cluster.run(&["health", "--live"]);
    assert_eq!(alive.code, 0, "{alive:?}");
    assert_eq!(cluster.run(&["stop"]).code, 0);
    let gone = cluster.run(&["health", "--live", "--json"]);
    assert_eq!((gone.code, gone.json()["healthy"].as_bool()), (68, Some(false)));
}

#[test]
fn the_two_questions_exclude_each_other() {
    assert_eq!(run(&["health", "--live", "--ready"]).code, 2);
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man1");
    let written = run(&["man", "--dir", pages.to_str().expect("text")]);
    assert_eq!(written.code, 0, "{written:?}");
    for name in [
        "cluster",
        "cluster-serve",
        "cluster-health",
        "cluster-sagas-list",
        "cluster-torture",
    ] {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).expect("a page");
        assert!(
            page.contains(&format!(".TH {name} 1")) && page.contains(".SH OPTIONS"),
            "{page}"
        );
    }
    let page = run(&["man", "sagas", "list"]).stdout;
    assert!(page.contains("older\\-than"), "{page}");
    assert_eq!(run(&["man", "nothing"]).code, 2);
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let refused = run(&["man", "--dir", file.to_str().expect("text")]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("failed to write the manual pages"),
        "{refused:?}"
    );
}
