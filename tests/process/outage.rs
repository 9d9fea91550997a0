//! No worker can serve, because each dies at its start: whoever connects is refused at once by a stub, which
//! comes and goes with the outage.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{
    Answer, Cli, Cluster, Plan, TIMEOUT, admin, client, notify_socket, replaceable, wait_for_status,
    wait_until,
};

const GET: &str = "GET /healthz/readiness HTTP/1.1\r\nHost: test\r\n\r\n";

/// Breakers open at the second death. `retry` is the time between two slow tries.
fn plan(retry: &str) -> Plan {
    let lines = format!(
        "restart_limit = 1\nbackoff_first = \"1ms\"\nbackoff_longest = \"{retry}\"\nsocket_mode = \"0600\""
    );
    Plan::shop().with("[cluster]", &lines)
}

/// A directory lies where the workers expect a database.
fn break_database(cluster: &Cluster) {
    let file = cluster.data().join("orders.db");
    std::fs::rename(&file, kept(cluster)).expect("moved away");
    std::fs::create_dir(&file).expect("made");
}

fn mend_database(cluster: &Cluster) {
    let file = cluster.data().join("orders.db");
    std::fs::remove_dir(&file).expect("removed");
    std::fs::rename(kept(cluster), &file).expect("moved back");
}

fn kept(cluster: &Cluster) -> PathBuf {
    cluster.data().join("orders.db.kept")
}

/// Breaks the cluster and waits until a stub answers.
fn break_down(cluster: &Cluster) {
    break_database(cluster);
    for slot in cluster.workers().into_keys() {
        cluster.signal_worker(slot, Signal::SIGKILL);
    }
    cluster.wait_for("no worker can serve");
    wait_for_stub(cluster);
}

/// The pid of the stub, which the master records as the life with epoch 0.
fn stub(cluster: &Cluster) -> Option<i32> {
    let text = std::fs::read(cluster.data().join("run/workers.json")).expect("readable");
    let records: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    let is_stub = |record: &&Value| record["life"].as_str().is_some_and(|life| life.ends_with("/0/0"));
    let pid = records.iter().find(is_stub)?["pid"].as_i64()?;
    i32::try_from(pid).ok()
}

fn wait_for_stub(cluster: &Cluster) -> i32 {
    wait_until("a stub", || stub(cluster).is_some());
    stub(cluster).expect("a stub")
}

fn wait_until_gone(pid: i32) {
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("the process is gone", || !is_there());
}

/// What comes back to these bytes, until the other side closes.
fn said(mut stream: impl Read + Write, bytes: &[u8]) -> String {
    stream.write_all(bytes).expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("no reset");
    String::from_utf8(answer).expect("text")
}

fn tcp(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream
}

fn assert_refused(answer: &str) {
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{answer}"
    );
    let lower = answer.to_lowercase();
    assert!(lower.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(lower.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\"no_worker\""), "{answer}");
}

#[test]
fn whoever_connects_is_refused_on_every_listener_until_a_worker_is_ready() {
    let (plan, socket) = notify_socket(plan("1s"));
    let path = plan.directory().join("http.sock");
    let both = format!("bind = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let plan = plan.replace("bind = [\"127.0.0.1:0\"]", &both);
    let cluster = plan.arguments(&["--admin", "127.0.0.1:0"]).start();
    let admin = admin(&cluster);
    break_down(&cluster);
    wait_for_status(&socket, "no worker can serve and a stub answers 503");
    for _ in 0..20 {
        assert_refused(&said(tcp(&cluster), GET.as_bytes()));
        let unix = UnixStream::connect(&path).expect("connected");
        assert_refused(&said(unix, GET.as_bytes()));
    }
    let post = format!(
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    assert_refused(&said(tcp(&cluster), post.as_bytes()));
    assert_refused(&said(
        TcpStream::connect(admin).expect("connected"),
        GET.as_bytes(),
    ));
    for other in [
        &b"EHLO example.org\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /\r\n",
    ] {
        assert_eq!(said(tcp(&cluster), other), "", "{other:?}");
    }
    let master = cluster.run_json(&["status"])["master"].clone();
    assert_eq!(master["refuses"], true, "{master}");
    let text = cluster.run(&["status"]).stdout;
    assert!(
        text.contains("no worker can serve and a stub answers 503"),
        "{text}"
    );
    let doctor = cluster.run(&["doctor"]).stdout;
    assert!(
        doctor.contains("attention: no worker of the cluster can serve"),
        "{doctor}"
    );
    let stub = wait_for_stub(&cluster);
    mend_database(&cluster);
    cluster.wait_for("the stub that answered 503 in the workers' place goes");
    wait_until_gone(stub);
    let ready = Answer::try_of(client().get(cluster.url("/healthz/readiness")).call());
    assert_eq!(ready.expect("an answer").status, 200);
    assert_eq!(cluster.run_json(&["status"])["master"]["refuses"], false);
    assert!(cluster.stop().success());
}

#[test]
fn http2_is_answered_and_told_to_go_away() {
    let cluster = plan("1h").start();
    break_down(&cluster);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(cluster.address())
            .await
            .expect("connected");
        let io = TokioIo::new(stream);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
        let (mut client, connection) = handshake.expect("a handshake");
        let connection = tokio::spawn(connection);
        let request = http::Request::get("http://test/").body(Empty::<bytes::Bytes>::new());
        let answer = client
            .send_request(request.expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "3600");
        drop(answer);
        let ended = tokio::time::timeout(TIMEOUT, connection)
            .await
            .expect("it is closed");
        ended.expect("no panic").expect("without an error");
    });
}

#[test]
fn a_stub_that_is_killed_is_followed_by_another() {
    let cluster = plan("1h").start();
    break_down(&cluster);
    let first = wait_for_stub(&cluster);
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("it lives");
    cluster.wait_for("the stub that answers 503 in the workers' place was ended by signal 9");
    wait_until("another stub", || {
        stub(&cluster).is_some_and(|next| next != first)
    });
    assert!(said(tcp(&cluster), GET.as_bytes()).starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_stub_that_hangs_is_noticed_and_followed_by_another() {
    let cluster = plan("1h").start();
    break_down(&cluster);
    let first = wait_for_stub(&cluster);
    kill(Pid::from_raw(first), Signal::SIGSTOP).expect("it lives");
    cluster.wait_for("the stub that answers 503 in the workers' place hung, no beat for ");
    wait_until_gone(first);
    wait_until("another stub", || {
        stub(&cluster).is_some_and(|next| next != first)
    });
    assert!(said(tcp(&cluster), GET.as_bytes()).starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_public_socket_that_is_bound_again_is_answered_by_a_stub_too() {
    let plan = plan("1h");
    let path = plan.directory().join("http.sock");
    let both = format!("bind = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let cluster = plan.replace("bind = [\"127.0.0.1:0\"]", &both).start();
    break_down(&cluster);
    let first = wait_for_stub(&cluster);
    std::fs::remove_file(&path).expect("removed");
    cluster.wait_for("was missing and has been bound again");
    let unix = UnixStream::connect(&path).expect("connected");
    unix.set_read_timeout(Some(TIMEOUT)).expect("set");
    assert!(said(unix, GET.as_bytes()).starts_with("HTTP/1.1 503 "));
    wait_until_gone(first);
    assert!(said(tcp(&cluster), GET.as_bytes()).starts_with("HTTP/1.1 503 "));
    assert!(cluster.stop().success());
}

#[test]
fn a_stub_ends_with_a_master_that_is_killed_and_the_next_master_serves() {
    let mut cluster = plan("1h").start();
    let address = cluster.address();
    break_down(&cluster);
    let stub = wait_for_stub(&cluster);
    cluster.kill_master();
    mend_database(&cluster);
    let bind = format!("bind = [\"{address}\"]");
    let next = plan("1h")
        .replace("bind = [\"127.0.0.1:0\"]", &bind)
        .over(&cluster)
        .start();
    wait_until_gone(stub);
    assert_eq!(next.get("/healthz/readiness").status, 200);
    assert!(next.stop().success());
}

#[test]
fn an_upgrade_of_the_master_goes_on_with_a_stub_of_its_own() {
    let (cluster, _program) = replaceable(plan("1h"));
    break_down(&cluster);
    let first = wait_for_stub(&cluster);
    cluster.run_json(&["upgrade"]);
    wait_until("another stub", || {
        stub(&cluster).is_some_and(|next| next != first)
    });
    wait_until_gone(first);
    assert!(said(tcp(&cluster), GET.as_bytes()).starts_with("HTTP/1.1 503 "));
    assert_eq!(cluster.run_json(&["status"])["master"]["refuses"], true);
}

#[test]
fn a_reload_that_heals_and_a_stop_end_the_stub() {
    let cluster = plan("1h").start();
    break_down(&cluster);
    let first = wait_for_stub(&cluster);
    mend_database(&cluster);
    cluster.run_json(&["reload"]);
    wait_until_gone(first);
    assert_eq!(cluster.get("/healthz/readiness").status, 200);
    let mark = cluster.mark();
    break_database(&cluster);
    for slot in [0, 1] {
        cluster.signal_worker(slot, Signal::SIGKILL);
    }
    cluster.wait_from(mark, "no worker can serve");
    let second = wait_for_stub(&cluster);
    assert!(cluster.stop().success());
    wait_until_gone(second);
}
