//! A limit on the length of files (`ulimit -f`, a service's `LimitFSIZE=`): no process dies of it, and it is
//! answered like a full disk. And an output that takes nothing: a command says so and ends.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Cli, Plan, TIMEOUT, client, command, order, run};

/// Longer than a log that a healthy cluster writes, and shorter than its databases' WALs under load.
const LIMIT: u64 = 4 << 20;

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    listener.local_addr().expect("an address")
}

#[test]
fn a_log_file_that_has_reached_its_limit_ends_nobody() {
    let (plan, address) = (Plan::shop(), free_address());
    let directory = plan.keep();
    let path = directory.path().join("log");
    let mut log = File::options()
        .append(true)
        .create(true)
        .open(&path)
        .expect("made");
    log.write_all(&vec![b'\n'; usize::try_from(LIMIT).expect("a size")])
        .expect("written");
    let mut cluster = Command::new("prlimit")
        .arg(format!("--fsize={LIMIT}"))
        .arg(env!("CARGO_BIN_EXE_cluster"))
        .args([
            "serve",
            "--workers",
            "2",
            "--bind",
            &address.to_string(),
            "--data-dir",
        ])
        .arg(directory.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the program starts");
    let url = |path: &str| format!("http://{address}{path}");
    let deadline = Instant::now() + TIMEOUT;
    let ready = || {
        client()
            .get(url("/healthz/readiness"))
            .call()
            .is_ok_and(|answer| answer.status() == 200)
    };
    while !ready() {
        assert_eq!(cluster.try_wait().expect("a child"), None, "the master died");
        assert!(Instant::now() < deadline, "the cluster never served");
        std::thread::sleep(Duration::from_millis(20));
    }
    let request = client()
        .post(url("/orders"))
        .header("content-type", "application/json");
    assert_eq!(request.send(order()).expect("answered").status(), 201);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(cluster.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the master lives");
    assert!(cluster.wait().expect("a child").success());
    assert_eq!(path.metadata().expect("a log").len(), LIMIT);
}

#[test]
fn databases_that_have_reached_their_limit_end_no_worker() {
    let cluster = Plan::shop()
        .with("[shop]", "order_wait = \"50ms\"")
        .file_size_limit(1 << 20)
        .start();
    let reader = rusqlite::Connection::open(cluster.data().join("orders.db")).expect("opened");
    let snapshot = reader.unchecked_transaction().expect("begun");
    snapshot
        .query_row("SELECT count(*) FROM orders", [], |_| Ok(()))
        .expect("read");
    let deadline = Instant::now() + TIMEOUT;
    let mut refused = 0;
    while refused < 20 {
        match cluster.post("/orders", &[], &order()).status {
            201 | 202 => {}
            503 | 507 => refused += 1,
            other => panic!("{other}"),
        }
        assert!(Instant::now() < deadline, "the limit was never reached");
    }
    for slot in cluster.run_json(&["status"])["slots"].as_array().expect("slots") {
        assert_eq!(slot["restarts"], 0, "{slot}");
    }
}

#[test]
fn a_command_that_meets_the_limit_or_a_full_output_says_so() {
    let plan = Plan::shop();
    let _kept = plan.keep();
    let cluster = plan.start();
    assert_eq!(cluster.post("/orders", &[], &order()).status, 201);
    let data = cluster.data();
    assert!(cluster.stop().success());
    let data = data.to_str().expect("text");
    let limited = Command::new("prlimit")
        .args([
            "--fsize=0",
            env!("CARGO_BIN_EXE_cluster"),
            "doctor",
            "--data-dir",
            data,
        ])
        .output()
        .expect("it runs");
    assert!(limited.status.code().is_some(), "{limited:?}");
    for arguments in [
        &["doctor", "--data-dir", data][..],
        &["sagas", "--data-dir", data, "list", "--state", "confirmed"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("opened");
        let output = command(arguments).stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("failed to print to stdout"), "{said}");
    }
    assert_eq!(run(&["doctor", "--data-dir", data]).code, 0);
}
