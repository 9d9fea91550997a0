//! What stands around the master: systemd, the pid file, a unix socket, workers of another user, workers of
//! an earlier master.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::scenes::workers;
use crate::common::{Cli, Plan, TIMEOUT, notify_socket, put_bytes, replaceable};

#[test]
fn systemd_is_told_that_it_reloads_and_is_ready_again_whatever_comes_of_it() {
    let (plan, socket) = notify_socket(Plan::shop());
    let (cluster, program) = replaceable(plan);
    let said = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("told");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(said().starts_with("READY=1"));
    cluster.run_json(&["upgrade"]);
    let reloading = said();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(said().starts_with("READY=1"));
    put_bytes(b"garbage", &program);
    assert_eq!(cluster.run(&["upgrade"]).code, 4);
    assert!(said().starts_with("RELOADING=1"));
    assert!(said().starts_with("READY=1"));
    assert!(cluster.stop().success());
    assert!(said().starts_with("STOPPING=1"));
}

#[test]
fn a_unix_socket_is_served_on_and_removed_at_the_end_with_the_pid_file() {
    let plan = Plan::shop();
    let (socket, pid_file) = (plan.directory().join("sock"), plan.directory().join("pid"));
    let bind = format!("bind = [\"127.0.0.1:0\", \"unix:{}\"]", socket.display());
    let plan = plan
        .replace("bind = [\"127.0.0.1:0\"]", &bind)
        .with("[cluster]", &format!("pid_file = \"{}\"", pid_file.display()));
    let directory = plan.keep();
    let (cluster, _program) = replaceable(plan);
    let before = cluster.address();
    cluster.run_json(&["upgrade"]);
    let mut client = UnixStream::connect(&socket).expect("connected");
    client
        .write_all(b"GET /healthz/liveness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = cluster.run_json(&["status"]);
    assert_eq!(status["master"]["addresses"][0], before.to_string());
    let pid: i32 = std::fs::read_to_string(&pid_file)
        .expect("there")
        .trim()
        .parse()
        .expect("a pid");
    assert_eq!(pid, cluster.pid());
    // A reload after an upgrade knows its addresses again.
    assert_eq!(cluster.run_json(&["reload"])["did"], "reloaded");
    assert!(cluster.stop().success());
    assert!(!socket.exists() && !pid_file.exists());
    drop(directory);
}

#[test]
#[ignore = "needs root, which alone can run workers as another user: cargo test --test process -- --ignored"]
fn workers_of_another_user_stay_who_they_are_and_so_do_the_next_ones() {
    let plan = Plan::shop().with("[cluster]", "user = \"nobody\"");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(plan.directory(), open).expect("set");
    let (cluster, _program) = replaceable(plan);
    let before = workers(&cluster);
    cluster.run_json(&["upgrade"]);
    assert_eq!(workers(&cluster), before);
    let mark = cluster.mark();
    cluster.run_json(&["restart", "0"]);
    cluster.wait_from(mark, "worker gone");
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.worker(0))).expect("readable");
    let uid = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .expect("a line");
    assert!(!uid.contains("\t0\t"), "{uid}");
}

#[test]
fn a_worker_of_an_earlier_master_is_still_waited_for() {
    let plan = Plan::shop();
    let directory = plan.keep();
    let mut first = plan.start();
    let mut client = TcpStream::connect(first.address()).expect("connected");
    client.set_read_timeout(Some(TIMEOUT)).expect("set");
    client
        .write_all(b"GET /drill/sleep?ms=6000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    first.wait_for_request_in_flight();
    first.kill_master();
    let program = directory.path().join("program");
    crate::common::put(std::path::Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    let second = Plan::shop().program(&program).over(&first).start();
    let orphans = || {
        let text = std::fs::read_to_string(second.data().join("run/workers.json")).expect("records");
        text.matches("\"1/").count()
    };
    assert_eq!(orphans(), 1, "the one that answers still lives");
    second.run_json(&["upgrade"]);
    assert_eq!(orphans(), 1, "it was forgotten");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let deadline = std::time::Instant::now() + TIMEOUT;
    while orphans() > 0 {
        assert!(std::time::Instant::now() < deadline, "its end was not noticed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
