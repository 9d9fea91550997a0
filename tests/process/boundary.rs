//! What the boundary between the master's user and `cluster.user` promises, looked at from both sides. Only
//! root can run workers as another user, so these tests say that they are skipped when somebody else runs
//! them.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Cli, Cluster, Plan, TIMEOUT, replaceable};

/// The user of the workers.
const USER: &str = "nobody";

/// Whether this test can run; says so when it cannot.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can run workers as another user");
    }
    root
}

/// A cluster whose workers are another user.
fn plan() -> Plan {
    let plan = Plan::shop().with("[cluster]", &format!("user = \"{USER}\""));
    let open = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(plan.directory(), open).expect("set");
    plan
}

/// What each descriptor of a process is, such as `pipe:[123]` or the path of a file.
fn descriptors(pid: i32) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
    let target = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        Some(target.to_string_lossy().into_owned())
    };
    entries.filter_map(target).collect()
}

/// What this descriptor of a process is.
fn descriptor(pid: i32, number: &str) -> String {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("an open descriptor");
    target.to_string_lossy().into_owned()
}

/// Field `number` of `/proc/PID/stat`, as proc(5) counts them.
fn stat(pid: i32, number: usize) -> i64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
    let (_, rest) = text.rsplit_once(')').expect("a name");
    rest.split_whitespace()
        .nth(number - 3)
        .expect("a field")
        .parse()
        .expect("a number")
}

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

/// A shell script as the user of the workers, with `$1` and so on; whether it succeeded.
fn as_user(script: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new("/bin/sh");
    std::os::unix::process::CommandExt::gid(&mut command, 65_534);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    command
        .args(["-c", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().expect("a shell").success()
}

/// A process of the workers' user that has nothing to hide. It is killed when it is dropped.
struct PlainProcess(std::process::Child);

impl PlainProcess {
    fn start() -> PlainProcess {
        let mut command = Command::new("sleep");
        std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        command
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        PlainProcess(command.spawn().expect("sleep runs"))
    }
}

impl Drop for PlainProcess {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What a debugger does first, with Linux's number for ptrace on this machine and its PTRACE_ATTACH.
fn attach() -> String {
    let number = nix::libc::SYS_ptrace;
    format!("perl -e 'exit(syscall({number}, 16, int($ARGV[0]), 0, 0) == 0 ? 0 : 1)' \"$1\"")
}

#[test]
fn no_process_of_the_workers_user_reads_a_worker_or_debugs_it() {
    if !is_root() {
        return;
    }
    let cluster = plan().start();
    let worker = cluster.worker(0).to_string();
    let plain = PlainProcess::start();
    let plain_pid = plain.0.id().to_string();
    for (what, script) in [
        ("its environment", "cat /proc/$1/environ"),
        ("its descriptors", "ls /proc/$1/fd/"),
        ("its memory", "exec 3</proc/$1/mem"),
        ("its system calls", "cat /proc/$1/syscall"),
        ("a debugger", &attach()),
    ] {
        if as_user(script, &[&plain_pid]) {
            assert!(!as_user(script, &[&worker]), "{what} is open to its user");
        } else {
            // Yama, a container, or no perl: nothing was shown then.
            eprintln!("SKIPPED: {what}, which this machine denies for any process");
        }
    }
    assert!(
        as_user("cat /proc/$1/environ", &[&plain_pid]),
        "this machine shows nothing of any process"
    );
    drop(plain);
    assert!(cluster.stop().success());
}

#[test]
fn the_workers_user_commands_neither_the_master_nor_its_files() {
    if !is_root() {
        return;
    }
    let (cluster, program) = replaceable(plan());
    let (program, data) = (program.to_str().expect("text"), cluster.data());
    let (data, master) = (data.to_str().expect("text"), cluster.pid().to_string());
    assert!(
        as_user("\"$1\" --version", &[program]),
        "the user can run the program"
    );
    assert!(!as_user("\"$1\" status --data-dir \"$2\"", &[program, data]));
    assert!(!as_user("kill -0 $1", &[&master]), "the master can be signalled");
    assert!(!as_user("exec 3</proc/$1/mem", &[&master]));
    for file in ["incarnation", "master.lock", "run"] {
        let path = format!("{data}/{file}");
        assert!(
            !as_user("mv \"$1\" \"$1.gone\"", &[&path]),
            "{file} can be renamed"
        );
        assert!(!as_user("test -w \"$1\"", &[&path]), "{file} can be written");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.worker(0))).expect("readable");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }
    assert!(cluster.stop().success());
}
