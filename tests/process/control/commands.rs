//! Each command once, with its exit code and its JSON.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Cli, Plan, run};

#[test]
fn status_tells_the_master_the_slots_and_their_workers() {
    let cluster = Plan::shop().start();
    for _ in 0..5 {
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
    }
    let status = cluster.run_json(&["status"]);
    assert_eq!(status["answer"], "status");
    let master = &status["master"];
    assert_eq!(master["pid"], cluster.pid());
    assert_eq!(master["addresses"][0], cluster.address().to_string());
    assert_eq!(
        (
            master["incarnation"].as_u64(),
            master["generation"].as_u64(),
            master["state"].as_str()
        ),
        (Some(1), Some(1), Some("running"))
    );
    assert!(
        master["rss_bytes"].as_u64() > Some(0) && master["fds"].as_u64() > Some(5),
        "{master}"
    );
    let slots = status["slots"].as_array().expect("slots");
    assert_eq!(slots.len(), 2);
    let sum = |key: &str| {
        slots
            .iter()
            .map(|slot| slot["worker"][key].as_u64().expect(key))
            .sum::<u64>()
    };
    assert_eq!(sum("requests"), 5);
    for (at, slot) in (0_u16..).zip(slots) {
        assert_eq!(slot["state"], "serving");
        assert_eq!(slot["worker"]["pid"], cluster.worker(at));
        assert_eq!(slot["queue"], 0);
        assert!(slot["weight"].as_u64() > Some(0), "{slot}");
        assert!(slot["worker"]["beat_age_ms"].as_u64().is_some(), "{slot}");
        assert!(slot["worker"]["rss_bytes"].as_u64() > Some(0), "{slot}");
    }
    let text = cluster.run(&["status"]);
    assert!(text.code == 0 && text.stdout.contains("SLOT  STATE"), "{text:?}");
    assert!(text.stdout.contains(&cluster.worker(1).to_string()), "{text:?}");
}

#[test]
fn what_waits_in_a_stopped_workers_queue_and_what_it_answers_is_shown() {
    let plan = Plan::shop()
        .replace("workers = 2", "workers = 1")
        .with("[cluster]", "heartbeat_timeout = \"60s\"");
    let cluster = plan.start();
    let pid = cluster.signal_worker(0, Signal::SIGSTOP);
    let address = cluster.address();
    let _clients = [(); 3].map(|()| std::net::TcpStream::connect(address).expect("connected"));
    let slot = cluster.run_json(&["status"])["slots"][0].clone();
    assert_eq!(slot["queue"], 3, "{slot}");
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it lives");
}

#[test]
fn top_shows_one_status_after_the_other_where_there_is_no_terminal() {
    let cluster = Plan::shop().start();
    let json = cluster.run(&["top", "--count", "2", "--json"]);
    assert_eq!((json.code, json.stdout.lines().count()), (0, 2), "{json:?}");
    let text = cluster.run(&["top", "--count", "1"]);
    assert!(
        text.stdout.contains("SLOT  STATE") && !text.stdout.contains('\x1b'),
        "{text:?}"
    );
    let mut endless = cluster.command(&["top"]).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(endless.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("a line");
    assert!(line.starts_with("cluster on "), "{line}");
    // Nobody reads any more, which is the end of it and no failure.
    assert!(endless.wait().expect("it ends").success());
}

#[test]
fn scale_changes_the_number_of_workers_within_its_bounds() {
    let cluster = Plan::shop().start();
    let grown = cluster.run_json(&["scale", "4"]);
    assert_eq!(
        (
            grown["did"].as_str(),
            grown["from"].as_u64(),
            grown["to"].as_u64()
        ),
        (Some("scaled"), Some(2), Some(4))
    );
    cluster.wait_until_serving(4);
    cluster.run_json(&["scale", "1"]);
    cluster.wait_until_serving(1);
    for impossible in ["0", "10000", "100000"] {
        let result = cluster.run(&["scale", impossible]);
        assert_eq!(result.code, 4, "{result:?}");
        assert!(
            result.stdout.contains(impossible) && result.stdout.contains("1 to 1024"),
            "{result:?}"
        );
        assert_eq!(
            cluster.run(&["scale", impossible, "--json"]).json()["answer"],
            "refused"
        );
    }
    cluster.wait_until_serving(1);
    assert_eq!(cluster.run(&["scale", "many"]).code, 2);
}

#[test]
fn restart_gives_a_slot_another_worker_and_drain_empties_it() {
    let cluster = Plan::shop().start();
    let before = cluster.worker(1);
    let result = cluster.run_json(&["restart", "1"]);
    assert_eq!(
        (result["did"].as_str(), result["slot"].as_u64()),
        (Some("restarted"), Some(1))
    );
    cluster.wait_until_serving(2);
    let now = cluster.run_json(&["status"])["slots"][1]["worker"]["pid"].clone();
    assert_ne!(now, before);
    let result = cluster.run_json(&["drain", "1"]);
    assert_eq!(
        (result["did"].as_str(), result["slot"].as_u64()),
        (Some("drained"), Some(1))
    );
    cluster.wait_until_serving(1);
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    cluster.run_json(&["restart", "1"]);
    cluster.wait_until_serving(2);
    for nowhere in [["restart", "9"], ["drain", "9"], ["why", "9"]] {
        let result = cluster.run(&nowhere);
        assert!(result.code == 4 && result.stdout.contains("slot 9"), "{result:?}");
    }
}

#[test]
fn stop_waits_until_the_master_is_gone() {
    let mut cluster = Plan::shop().start();
    let result = cluster.run_json(&["stop"]);
    assert_eq!(
        (result["did"].as_str(), result["whole"].as_bool()),
        (Some("stopped"), Some(true))
    );
    assert!(!cluster.data().join("run/control.sock").exists());
    assert_eq!(cluster.wait().code(), Some(0));
    let result = cluster.run(&["status"]);
    assert_eq!(result.code, 68, "{result:?}");
    assert!(
        result.stderr.contains("no master serves") && result.stderr.contains("--run-dir"),
        "{result:?}"
    );
    // Its directories are free: another master takes them at once.
    let next = Plan::shop().over(&cluster).start();
    assert_eq!(next.run_json(&["status"])["master"]["incarnation"], 2);
    assert_eq!(next.run(&["stop", "--now"]).code, 0);
}

#[test]
fn whoever_does_not_want_to_wait_is_told_that_it_has_begun_or_why_not() {
    let cluster = Plan::shop()
        .replace("bake_time = \"50ms\"", "bake_time = \"1s\"")
        .start();
    let mark = cluster.mark();
    assert_eq!(cluster.run_json(&["reload", "--no-wait"])["answer"], "begun");
    cluster.wait_from(mark, "reload done");
    let refused = cluster.run(&["scale", "0", "--no-wait"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let mut cluster = cluster;
    assert_eq!(cluster.run_json(&["stop", "--no-wait"])["answer"], "begun");
    cluster.wait();
}

#[test]
fn the_socket_is_its_masters_own_and_found_by_every_flag() {
    let cluster = Plan::shop().start();
    let socket = cluster.data().join("run/control.sock");
    let mode = std::fs::metadata(&socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let run_dir = cluster.data().join("run").display().to_string();
    assert_eq!(run(&["status", "--run-dir", &run_dir]).code, 0);
    let config = cluster.data().parent().expect("a parent").join("c.toml");
    let data = cluster.data();
    // A configuration that no master would take still says where the master is.
    std::fs::write(&config, format!("[cluster]\ndata_dir = {data:?}\nwrokers = 9\n")).expect("written");
    assert_eq!(
        run(&["status", "--config", &config.display().to_string()]).code,
        0
    );
    let odd = run(&["status", "--config", "/does/not/exist"]);
    assert!(odd.code == 78 && odd.stderr.contains("--run-dir"), "{odd:?}");
}

#[test]
fn a_run_directory_that_lies_too_deep_is_refused_at_the_start() {
    let plan = Plan::shop();
    let deep = plan.directory().join("x".repeat(100));
    let deep = deep.display().to_string();
    let mut cluster = plan.arguments(&["--run-dir", &deep]).launch();
    assert_eq!(cluster.wait().code(), Some(78));
    cluster.wait_for("choose a shorter --run-dir");
    let result = run(&["status", "--run-dir", &deep]);
    assert!(
        result.code == 78 && result.stderr.contains("shorter"),
        "{result:?}"
    );
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let result = run(&["completions", shell]);
        assert_eq!(result.code, 0, "{result:?}");
        for command in ["status", "reload", "restart", "why"] {
            assert!(result.stdout.contains(command), "{shell} does not know {command}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).code, 2);
}
