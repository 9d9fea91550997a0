//! An upgrade, and whatever a person does before, meanwhile and after it.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{Cli, Cluster, Plan, put, replaceable};

/// Slots with their worker's pid and epoch.
pub(crate) fn workers(cluster: &Cluster) -> Vec<(Value, Value, Value)> {
    let status = cluster.run_json(&["status"]);
    let slots = status["slots"].as_array().expect("slots").iter();
    slots
        .map(|slot| {
            (
                slot["slot"].clone(),
                slot["worker"]["pid"].clone(),
                slot["worker"]["epoch"].clone(),
            )
        })
        .collect()
}

/// The inode of the file that the master runs.
fn running(cluster: &Cluster) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{}/exe", cluster.pid()))
        .expect("it runs")
        .ino()
}

#[test]
fn the_new_binary_is_the_master_and_the_workers_are_who_they_were() {
    let (cluster, program) = replaceable(Plan::shop());
    let (before, binary) = (workers(&cluster), running(&cluster));
    let incarnation = cluster.run_json(&["status"])["master"]["incarnation"].clone();
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    let result = cluster.run_json(&["upgrade"]);
    assert_eq!(
        (
            result["answer"].as_str(),
            result["did"].as_str(),
            result["to"].as_str()
        ),
        (Some("done"), Some("upgraded"), Some(env!("CARGO_PKG_VERSION"))),
        "{result}"
    );
    assert_ne!(running(&cluster), binary, "the master runs the old file");
    let status = cluster.run_json(&["status"]);
    let master = &status["master"];
    assert_eq!(master["pid"], cluster.pid());
    assert_eq!(
        (
            &master["incarnation"],
            master["upgrades"].as_u64(),
            master["generation"].as_u64()
        ),
        (&incarnation, Some(1), Some(1)),
        "{master}"
    );
    assert!(
        master["binary_for_ms"].as_u64() < master["uptime_ms"].as_u64(),
        "{master}"
    );
    assert_eq!(workers(&cluster), before);
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    assert_eq!(cluster.stop().code(), Some(0));
}

#[test]
fn a_signal_does_the_same_and_the_log_tells_each_step() {
    let (cluster, _program) = replaceable(Plan::shop());
    let before = workers(&cluster);
    cluster.signal(Signal::SIGUSR2);
    for step in [
        "asking the binary on disk",
        "rehearses",
        "the new binary can take over",
        "executing it",
        "upgrade done",
    ] {
        cluster.wait_for(step);
    }
    assert_eq!(workers(&cluster), before);
}

#[test]
fn after_an_upgrade_everything_works_as_before() {
    let (cluster, _program) = replaceable(Plan::shop());
    cluster.run_json(&["upgrade"]);
    let mark = cluster.mark();
    let victim = cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker crashed (signal 9");
    cluster.wait_for_successor(0, victim);
    assert_eq!(cluster.run_json(&["scale", "4"])["to"], 4);
    assert_eq!(cluster.run_json(&["reload"])["generation"], 2);
    assert_eq!(cluster.run_json(&["upgrade"])["did"], "upgraded");
    // The generation to go back to has come along, its binary and its settings.
    assert_eq!(cluster.run_json(&["rollback"])["did"], "rolled_back");
    assert_eq!(cluster.run_json(&["upgrade"])["did"], "upgraded");
    assert_eq!(
        cluster.run_json(&["reload"])["generation"],
        3,
        "generations go on counting"
    );
    assert_eq!(cluster.run_json(&["scale", "1"])["to"], 1);
    cluster.wait_until_serving(1);
    let result = cluster.run_json(&["stop"]);
    assert_eq!(result["whole"], true, "{result}");
}

#[test]
fn a_worker_that_dies_at_that_very_moment_is_replaced() {
    let (cluster, _program) = replaceable(Plan::shop());
    let mark = cluster.mark();
    let victim = cluster.worker(1);
    let upgrade = cluster.command(&["upgrade", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "rehearses");
    kill(Pid::from_raw(victim), Signal::SIGKILL).expect("it lived");
    let result = upgrade.wait_with_output().expect("it ends");
    assert!(result.status.success(), "{result:?}");
    cluster.wait_from(mark, "worker crashed (signal 9");
    cluster.wait_for_successor(1, victim);
}

#[test]
fn a_stop_that_comes_during_the_exec_is_heard() {
    for round in 0..6 {
        let (mut cluster, _program) = replaceable(Plan::shop());
        let mark = cluster.mark();
        cluster.signal(Signal::SIGUSR2);
        // From just before the exec to well after it, a little later each time.
        cluster.wait_from(mark, "the new binary can take over");
        let due = std::time::Instant::now() + std::time::Duration::from_micros(700 * round);
        while std::time::Instant::now() < due {
            std::hint::spin_loop();
        }
        cluster.signal(Signal::SIGTERM);
        assert_eq!(cluster.wait_to_the_last_word().code(), Some(0), "round {round}");
        assert_eq!(
            cluster.count_from(mark, "stopping: workers finish"),
            1,
            "round {round}"
        );
    }
}

#[test]
fn what_is_asked_for_during_a_reload_follows_it() {
    let plan = Plan::shop().replace("bake_time = \"50ms\"", "bake_time = \"500ms\"");
    let (cluster, _program) = replaceable(plan);
    let mark = cluster.mark();
    let reload = cluster.command(&["reload", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "reload: rolling out");
    let upgrade = cluster.run(&["upgrade", "--json"]);
    assert_eq!(upgrade.code, 0, "{upgrade:?}");
    let lines = cluster.log();
    let place = |text: &str| {
        lines.iter().position(|line| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        })
    };
    assert!(
        place("reload done") < place("asking the binary on disk"),
        "they were mixed"
    );
    assert!(reload.wait_with_output().expect("it ends").status.success());
    assert_eq!(cluster.run_json(&["status"])["master"]["generation"], 2);
}

#[test]
fn who_waits_for_something_else_gets_its_verdict_from_the_new_master() {
    let (cluster, _program) = replaceable(Plan::shop());
    let mark = cluster.mark();
    let first = cluster.command(&["upgrade", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "asking the binary on disk");
    let others = ["reload", "upgrade"].map(|ask| cluster.command(&[ask, "--json"]).spawn().expect("it runs"));
    // Half a request is heard on there, too.
    let mut half = cluster.connect();
    std::io::Write::write_all(&mut half, b"{\"version\":1,").expect("said");
    for child in [first].into_iter().chain(others) {
        let result = child.wait_with_output().expect("it ends");
        assert!(result.status.success(), "{result:?}");
        let result: Value = serde_json::from_slice(&result.stdout).expect("JSON");
        assert_eq!(result["answer"], "done", "{result}");
    }
    std::io::Write::write_all(&mut half, b"\"ask\":\"status\"}\n").expect("said");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut half, &mut answer).expect("text");
    assert!(answer.contains("\"answer\":\"status\""), "{answer}");
}

#[test]
fn whoever_does_not_wait_is_told_that_it_has_begun() {
    let (cluster, _program) = replaceable(Plan::shop());
    assert_eq!(cluster.run_json(&["upgrade", "--no-wait"])["answer"], "begun");
    cluster.wait_for("upgrade done");
}

#[test]
fn a_second_master_is_kept_out_after_an_upgrade_too() {
    let plan = Plan::shop();
    let (cluster, program) = replaceable(plan);
    cluster.run_json(&["upgrade"]);
    let mut second = Plan::shop().program(&program).over(&cluster).launch();
    assert_eq!(second.wait().code(), Some(69), "the locks are not held any more");
    cluster.wait_until_serving(2);
}

#[test]
fn a_new_master_that_cannot_go_on_says_so_and_ends() {
    // The descriptor is not there, or no number at all.
    for number in ["977", "two"] {
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_cluster"))
            .arg("serve")
            .env("CLUSTER_UPGRADE_FD", number)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("took over as master and cannot go on"), "{said}");
    }
}
