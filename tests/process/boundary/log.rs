//! The log of workers of another user: nothing of the master's own, and no line lost that need not be.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{USER, descriptor, descriptors, is_root, plan, stat};
use crate::common::{Cli, Cluster, Plan, TIMEOUT, replaceable};

const SESSION: usize = 6;
const TERMINAL: usize = 7;

#[test]
fn a_worker_of_another_user_has_no_descriptor_of_the_masters_log() {
    if !is_root() {
        return;
    }
    let cluster = plan().start();
    let (master, worker) = (cluster.pid(), cluster.worker(0));
    let log = descriptor(master, "2");
    assert!(log.starts_with("pipe:"), "{log}");
    assert!(!descriptors(worker).contains(&log), "{:?}", descriptors(worker));
    assert_eq!(
        stat(worker, SESSION),
        i64::from(worker),
        "it leads a session of its own"
    );
    // Lines of a worker arrive all the same, and are its own.
    let line = cluster.wait_for("DRILL ROUTES ARE ON");
    assert!(
        line["who"].as_str().expect("who").starts_with("worker 1/"),
        "{line}"
    );
    assert!(cluster.stop().success());
}

#[test]
fn a_worker_of_the_masters_own_user_writes_to_the_log_itself() {
    let cluster = Plan::shop().start();
    let log = descriptor(cluster.pid(), "2");
    assert!(descriptors(cluster.worker(0)).contains(&log));
    assert!(cluster.stop().success());
}

#[test]
fn a_worker_of_another_user_has_no_terminal_and_its_lines_are_written_as_the_master_writes() {
    if !is_root() {
        return;
    }
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("set");
    let slave = || Stdio::from(terminal.slave.try_clone().expect("a copy"));
    // With the terminal of its stdin as its controlling terminal, in a session of its own.
    let mut master = Command::new("setsid")
        .args(["--ctty", env!("CARGO_BIN_EXE_cluster"), "serve", "--workers", "1"])
        .args([
            "--bind",
            "127.0.0.1:0",
            "--user",
            USER,
            "--set",
            "drill.routes=true",
            "--data-dir",
        ])
        .arg(directory.path().join("data"))
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .expect("setsid runs");
    let shown = read_until(&terminal.master, "serving: every worker is ready");
    let pid = i32::try_from(master.id()).expect("a pid");
    let worker = only_child(pid);
    assert_ne!(stat(pid, TERMINAL), 0, "the master has a terminal");
    assert_eq!(stat(worker, TERMINAL), 0, "the worker can type into it");
    let terminals = descriptors(worker)
        .into_iter()
        .filter(|name| name.starts_with("/dev/pts/"));
    assert_eq!(terminals.collect::<Vec<_>>(), Vec::<String>::new());
    let line = shown
        .lines()
        .find(|line| line.contains("DRILL ROUTES ARE ON"))
        .expect("a line");
    assert!(line.contains(" WARN  worker 1/0/1: DRILL"), "{line}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).expect("it lives");
    read_until(&terminal.master, "stopped");
    assert!(master.wait().expect("waited").success());
}

/// Reads from a terminal until this was shown.
fn read_until(terminal: &OwnedFd, text: &str) -> String {
    let mut file = File::from(terminal.try_clone().expect("a copy"));
    let (deadline, mut shown) = (Instant::now() + TIMEOUT, String::new());
    while !shown.contains(text) {
        assert!(Instant::now() < deadline, "{text:?} was not shown:\n{shown}");
        let mut ready = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(terminal),
            nix::poll::PollFlags::POLLIN,
        )];
        if nix::poll::poll(&mut ready, 1_000_u16).expect("polled") > 0 {
            let mut buffer = [0; 4096];
            let length = file.read(&mut buffer).expect("readable");
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }
    shown
}

fn only_child(pid: i32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("readable");
    text.trim().parse().expect("one child")
}

/// A connection that stays open.
fn connect(cluster: &Cluster) -> TcpStream {
    let client = TcpStream::connect(cluster.address()).expect("connected");
    client.set_read_timeout(Some(TIMEOUT)).expect("set");
    client
}

/// So many requests on one connection, each answered before the next.
fn ask(client: &mut TcpStream, many: usize, path: &str) {
    for _ in 0..many {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        client.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let length = client.read(&mut buffer).expect("an answer in time");
            assert!(length > 0, "closed");
            answer.extend_from_slice(&buffer[..length]);
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn a_master_that_hangs_costs_lines_of_its_workers_and_no_answers() {
    if !is_root() {
        return;
    }
    let cluster = plan().arguments(&["--access-log"]).start();
    let mut client = connect(&cluster);
    ask(&mut client, 1, "/healthz/liveness");
    cluster.signal(Signal::SIGSTOP);
    // More lines than the pipe and the worker's own memory for them can take.
    ask(&mut client, 3_000, "/healthz/liveness");
    let mark = cluster.mark();
    cluster.signal(Signal::SIGCONT);
    let told = cluster.wait_from(mark, "log lines were dropped: the log did not take them in time");
    assert!(
        told["who"].as_str().expect("who").starts_with("worker 1/"),
        "{told}"
    );
    assert!(cluster.stop().success());
}

#[test]
fn a_worker_outlives_its_master_and_answers_though_nobody_takes_its_lines() {
    if !is_root() {
        return;
    }
    let mut cluster = plan().arguments(&["--access-log"]).start();
    let mut client = connect(&cluster);
    client
        .write_all(b"GET /drill/sleep?ms=1500 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    cluster.wait_for_request_in_flight();
    cluster.kill_master();
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn an_upgrade_takes_the_pipes_of_the_logs_along() {
    if !is_root() {
        return;
    }
    let (cluster, _program) = replaceable(plan().arguments(&["--access-log"]));
    let worker = cluster.worker(0);
    let mut client = connect(&cluster);
    ask(&mut client, 100, "/healthz/liveness");
    cluster.run_json(&["upgrade"]);
    ask(&mut client, 100, "/healthz/startup");
    cluster.wait_until(0, "the hundredth line after the upgrade", {
        let seen = std::cell::Cell::new(0);
        move |line: &Value| {
            seen.set(seen.get() + usize::from(line["path"] == "/healthz/startup"));
            seen.get() == 100
        }
    });
    let before = cluster
        .log()
        .iter()
        .filter(|line| line["path"] == "/healthz/liveness")
        .count();
    assert_eq!(before, 100, "every line from before the upgrade arrived");
    assert_eq!(cluster.worker(0), worker, "the worker stayed");
    assert!(cluster.stop().success());
}

/// The end of the pipe that the worker writes its log lines to.
fn log_pipe(master: i32, worker: i32) -> File {
    let (of_master, of_stderr) = (descriptors(master), descriptor(worker, "2"));
    let numbers = std::fs::read_dir(format!("/proc/{worker}/fd")).expect("a living process");
    let shared = numbers.filter_map(|entry| {
        let path = entry.ok()?.path();
        let target = std::fs::read_link(&path).ok()?.to_string_lossy().into_owned();
        let is_log = target.starts_with("pipe:") && target != of_stderr && of_master.contains(&target);
        is_log.then_some(path)
    });
    let [path] = shared
        .collect::<Vec<_>>()
        .try_into()
        .expect("one pipe beside stderr");
    OpenOptions::new().append(true).open(path).expect("opened")
}

#[test]
fn a_worker_cannot_speak_for_the_master_in_the_log() {
    if !is_root() {
        return;
    }
    let cluster = plan().start();
    let worker = cluster.worker(0);
    let mut pipe = log_pipe(cluster.pid(), worker);
    let time = "2026-11-22T16:02:20.123Z";
    let forged = format!(
        "{{\"time\":\"{time}\",\"level\":\"error\",\"who\":\"master\",\"message\":\"all is lost\"}}\n"
    );
    let mark = cluster.mark();
    pipe.write_all(forged.as_bytes()).expect("written");
    pipe.write_all(b"\x1b[2Jno log line\n").expect("written");
    pipe.write_all(&[&vec![b'x'; 40_000][..], b"\n"].concat())
        .expect("written");
    let line = cluster.wait_from(mark, "all is lost");
    assert!(
        line["who"].as_str().expect("who").starts_with("worker 1/0/"),
        "{line}"
    );
    assert_eq!(line["time"], time, "{line}");
    let line = cluster.wait_from(mark, "no log line");
    assert_eq!(line["message"], "worker said:  [2Jno log line", "{line}");
    let long = cluster.wait_from(mark, "xxxxxxxx");
    assert!(long["message"].as_str().expect("a message").len() < 1_100);
    // What follows a line that was cut is a line again.
    pipe.write_all(forged.as_bytes()).expect("written");
    cluster.wait_for_many(mark, "all is lost", 2);
    assert!(cluster.stop().success());
}
