//! What goes along: workers in every state, what is remembered of the dead, and the state itself, doctored by
//! a stranger.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};

use cluster::sys::memfd;
use cluster::sys::process::{Binary, ChildSignals, Spawn, spawn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scenes::workers;
use crate::common::{Cli, Plan, replaceable};

#[test]
fn the_dead_are_remembered_and_counters_do_not_begin_anew() {
    let (cluster, _program) = replaceable(Plan::shop());
    for _ in 0..7 {
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
    }
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    let (before, why) = (cluster.run_json(&["status"]), cluster.run_json(&["why", "0"]));
    cluster.run_json(&["upgrade"]);
    let (after, still) = (cluster.run_json(&["status"]), cluster.run_json(&["why", "0"]));
    assert_eq!(after["slots"][0]["restarts"], 1);
    for slot in 0..2 {
        assert_eq!(
            after["slots"][slot]["worker"]["requests"],
            before["slots"][slot]["worker"]["requests"]
        );
    }
    let stable = |why: &serde_json::Value| {
        let mut death = why["deaths"][0].clone();
        death.as_object_mut().expect("a death").remove("ago_ms");
        death
    };
    assert!(why["deaths"][0].is_object(), "{why}");
    assert_eq!(stable(&still), stable(&why));
}

#[test]
fn a_path_that_another_program_took_before_the_upgrade_is_not_removed_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let [ours, theirs] = ["ours.sock", "theirs.sock"].map(|name| directory.path().join(name));
    let list = format!(
        "bind = [\"127.0.0.1:0\", \"unix:{}\", \"unix:{}\"]",
        ours.display(),
        theirs.display()
    );
    let plan = Plan::shop().replace("bind = [\"127.0.0.1:0\"]", &list);
    let (cluster, _program) = replaceable(plan);
    std::fs::remove_file(&theirs).expect("removed");
    let _another = std::os::unix::net::UnixListener::bind(&theirs).expect("another's");
    cluster.run_json(&["upgrade"]);
    assert!(cluster.stop().success());
    assert!(!ours.exists() && theirs.exists());
}

#[test]
fn a_stopped_worker_is_still_late_and_killed_by_the_new_master() {
    let plan = Plan::shop().with("[cluster]", "heartbeat_timeout = \"3s\"");
    let (cluster, _program) = replaceable(plan);
    let mark = cluster.mark();
    let pid = cluster.signal_worker(1, Signal::SIGSTOP);
    cluster.wait_from(mark, "worker late");
    cluster.run_json(&["upgrade"]);
    cluster.wait_from(mark, "killing worker: hung");
    cluster.wait_for_successor(1, pid);
}

#[test]
fn a_stopped_worker_that_goes_on_is_back_in_service() {
    let plan = Plan::shop().with("[cluster]", "heartbeat_timeout = \"60s\"");
    let (cluster, _program) = replaceable(plan);
    let mark = cluster.mark();
    let pid = cluster.signal_worker(1, Signal::SIGSTOP);
    cluster.wait_from(mark, "worker late");
    cluster.run_json(&["upgrade"]);
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it lives");
    cluster.wait_from(mark, "worker beats again");
    assert_eq!(cluster.worker(1), pid);
}

#[test]
fn a_booting_and_a_draining_worker_go_on_with_it() {
    let (cluster, _program) = replaceable(Plan::shop());
    let mark = cluster.mark();
    // Its answer takes a while, so its worker drains for as long.
    let url = cluster.url("/drill/sleep?ms=2000");
    let client = std::thread::spawn(move || {
        crate::common::client()
            .get(url)
            .call()
            .map(|answer| answer.status())
    });
    cluster.wait_for_request_in_flight();
    cluster.run_json(&["scale", "1", "--no-wait"]);
    cluster.run_json(&["scale", "3", "--no-wait"]);
    assert_eq!(cluster.run_json(&["upgrade"])["did"], "upgraded");
    cluster.wait_from(mark, "upgrade done");
    let answer = client.join().expect("it ends").expect("an answer");
    assert!(answer.is_success(), "{answer}");
    cluster.wait_for_workers("three workers", |workers| {
        workers.len() == 3 && workers.values().all(|pids| pids.len() == 1)
    });
}

#[test]
fn twenty_upgrades_leave_nothing_behind() {
    let (cluster, _program) = replaceable(Plan::shop());
    let before = workers(&cluster);
    cluster.run_json(&["upgrade"]);
    let master = |key: &str| cluster.run_json(&["status"])["master"][key].as_u64().expect(key);
    let (fds, rss) = (master("fds"), master("rss_bytes"));
    for _ in 0..20 {
        cluster.run_json(&["upgrade"]);
    }
    assert_eq!((master("fds"), master("upgrades")), (fds, 21));
    // What a process just executed has in memory varies by the page cache's mood, not by twenty of anything.
    assert!(
        master("rss_bytes") < rss + (2 << 20),
        "{} after {rss}",
        master("rss_bytes")
    );
    assert_eq!(workers(&cluster), before);
}

/// What a binary says of a state that a stranger wrote.
fn rehearsed(state: &[u8]) -> (String, i32) {
    let state = memfd::create_sealed("state", state, state.len() as u64, true).expect("a memfd");
    rehearsed_with(&state)
}

fn rehearsed_with(state: &impl AsFd) -> (String, i32) {
    let binary = File::open(env!("CARGO_BIN_EXE_cluster")).expect("the binary");
    let null = File::open("/dev/null").expect("/dev/null");
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    let text = |text: String| CString::new(text).expect("no NUL");
    let args = ["cluster", "--rehearse-upgrade", "serve"].map(|word| text(word.to_owned()));
    let env = [
        text(format!("CLUSTER_UPGRADE_FD={}", state.as_fd().as_raw_fd())),
        text(format!("CLUSTER_UPGRADE_VERDICT_FD={}", writer.as_raw_fd())),
    ];
    let child = spawn(&Spawn {
        binary: Binary::Open(binary.as_fd()),
        args: &args,
        env: &env,
        listen_pid: false,
        directory: None,
        signals: ChildSignals::Worker,
        stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
        fds: &[],
        keep: &[state.as_fd(), writer.as_fd()],
        bound: true,
        group: None,
        credentials: None,
    })
    .expect("a child");
    drop(writer);
    let mut said = String::new();
    File::from(reader).read_to_string(&mut said).expect("text");
    let status = nix::sys::wait::waitpid(Pid::from_raw(child.pid), None).expect("reaped");
    match status {
        nix::sys::wait::WaitStatus::Exited(_, code) => (said, code),
        other => panic!("{other:?}: {said}"),
    }
}

#[test]
fn a_state_that_is_none_is_refused_with_what_was_expected() {
    for (state, reason) in [
        (b"".as_slice(), "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "version"),
        (b"{\"version\":1}", "version 1, expected"),
        (
            b"{\"version\":18446744073709551615}",
            "version 18446744073709551615, expected",
        ),
        (b"{\"version\":-1}", "cannot be read"),
    ] {
        let (said, code) = rehearsed(state);
        assert!(said.contains("cannot\":") && said.contains(reason), "{said}");
        assert_eq!(code, 0, "it ran well and said no");
    }
    let deep = vec![b'['; 100_000];
    assert!(rehearsed(&deep).0.contains("cannot\":"));
}

#[test]
fn a_state_that_somebody_could_still_change_is_refused() {
    let open = memfd::create_sealed("state", b"{\"version\":1}", 13, false).expect("a memfd");
    assert!(rehearsed_with(&open).0.contains("sealed"));
    let file = tempfile::tempfile().expect("a file");
    assert!(rehearsed_with(&file).0.contains("sealed"));
}
