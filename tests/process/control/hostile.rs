//! Clients that mean no good: whatever they do, they are cut, it is logged, and the master goes on.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::{Cli, Cluster, Plan, put};

fn refused(cluster: &Cluster, bytes: &[u8]) -> String {
    let answer = cluster.send_bytes(bytes);
    let line: serde_json::Value =
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert_eq!(line["answer"], "refused", "{line}");
    line["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn what_is_no_request_is_refused_and_changes_nothing() {
    let cluster = Plan::shop().start();
    let binary: Vec<u8> = (0..=255_u8).chain(*b"\n").collect();
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\n",
        b"\0\0\0\0\n",
        b"{\"version\":1,\"ask\":\"explode\"}\n",
        b"{\"version\":1,\"ask\":\"stop\"}\n",
        b"{\"version\":1,\"ask\":{\"stop\":{\"now\":\"yes\"}}}\n",
        b"{\"version\":1,\"ask\":{\"scale\":{\"to\":-1}}}\n",
        b"{\"version\":1,\"ask\":\"reload\",\"binary\":\"/tmp/evil\"}\n",
        &binary,
    ] {
        let reason = refused(&cluster, garbage);
        assert!(reason.contains("expected"), "{reason}");
    }
    let later = refused(&cluster, b"{\"version\":2,\"ask\":\"stop\"}\n");
    assert!(
        later.contains("version 2") && later.contains("version 1"),
        "{later}"
    );
    cluster.wait_for("refused a control client's line");
    cluster.wait_until_serving(2);
    assert!(cluster.stop().success());
}

#[test]
fn a_megabyte_is_not_read_to_its_end() {
    let cluster = Plan::shop().start();
    let answer = cluster.send_bytes(&vec![b'x'; 1 << 20]);
    assert!(answer.is_empty() || answer.contains("32768"), "{answer}");
    cluster.wait_for("its request is longer than 32768 bytes");
    let deep = [b'['; 4096];
    assert!(refused(&cluster, &[&deep[..], b"\n"].concat()).contains("expected"));
    cluster.wait_until_serving(2);
}

#[test]
fn a_request_that_comes_in_pieces_is_understood_and_a_half_one_is_cut() {
    let cluster = Plan::shop().start();
    let mut slow = cluster.connect();
    for byte in b"{\"version\":1,\"ask\":\"status\"}\n" {
        slow.write_all(&[*byte]).expect("said");
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("heard");
    assert!(answer.contains("\"answer\":\"status\""), "{answer}");

    let mut left = cluster.connect();
    left.write_all(b"{\"version\"").expect("said");
    drop(left);
    cluster.wait_for("disconnected after 10 bytes of a request");

    let mut silent = cluster.connect();
    silent.write_all(b"{\"version\":1,").expect("said");
    let mut nothing = Vec::new();
    // Nothing is ever answered: the master closes after its patience.
    silent.read_to_end(&mut nothing).expect("closed");
    assert!(nothing.is_empty());
    cluster.wait_for("too slow in sending its request");
    cluster.wait_until_serving(2);
}

#[test]
fn fifty_silent_clients_keep_nobody_out_for_long() {
    let cluster = Plan::shop().start();
    let crowd: Vec<UnixStream> = (0..50).map(|_| cluster.connect()).collect();
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    // Those before it in the queue say nothing, and go for it in turn.
    let result = cluster.run(&["scale", "3"]);
    assert_eq!(result.code, 0, "{result:?}");
    cluster.wait_until_serving(3);
    drop(crowd);
}

#[test]
fn fifty_people_at_once_are_all_answered() {
    let cluster = Plan::shop().start();
    let asked: Vec<_> = (0..50)
        .map(|_| cluster.command(&["status", "--json"]).spawn().expect("it runs"))
        .collect();
    for one in asked {
        let result = one.wait_with_output().expect("it ends");
        assert!(result.status.success(), "{result:?}");
    }
    cluster.wait_until_serving(2);
}

#[test]
fn a_client_that_never_reads_and_one_that_leaves_hold_up_nobody() {
    let cluster = Plan::shop().start();
    let deaf: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut stream = cluster.connect();
            stream
                .write_all(b"{\"version\":1,\"ask\":\"status\"}\n")
                .expect("said");
            stream
        })
        .collect();
    cluster.wait_until_serving(2);
    drop(deaf);
    // Whoever leaves before the end of what it asked for is forgotten; what it asked for goes on.
    let mark = cluster.mark();
    let mut gone = cluster.connect();
    gone.write_all(b"{\"version\":1,\"ask\":\"reload\"}\n")
        .expect("said");
    cluster.wait_from(mark, "reload: rolling out");
    drop(gone);
    cluster.wait_from(mark, "reload done");
    cluster.wait_until_serving(2);
}

#[test]
fn one_who_has_said_everything_and_closed_its_half_is_answered_all_the_same() {
    let cluster = Plan::shop().start();
    let mut stream = cluster.connect();
    stream
        .write_all(b"{\"version\":1,\"ask\":\"reload\"}\n")
        .expect("said");
    stream.shutdown(std::net::Shutdown::Write).expect("closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("heard");
    assert!(answer.contains("\"did\":\"reloaded\""), "{answer}");
}

#[test]
#[ignore = "needs root, which alone can be somebody else: cargo test --test process -- --ignored"]
fn another_user_is_cut_even_where_the_files_would_let_him_in() {
    const NOBODY: u32 = 65534;
    let plan = Plan::shop();
    let program = plan.directory().join("program");
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    let cluster = plan.start();
    let data = cluster.data();
    for path in [data.parent().expect("a directory"), &data, &data.join("run")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    let socket = data.join("run/control.sock");
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666)).expect("set");
    let before = cluster.workers();
    for ask in [&["status", "--json"][..], &["stop", "--now"], &["scale", "1"]] {
        let result = Command::new(&program)
            .args(ask)
            .arg("--data-dir")
            .arg(&data)
            .uid(NOBODY)
            .output()
            .expect("it runs");
        assert!(!result.status.success() && result.stdout.is_empty(), "{result:?}");
    }
    let cut = format!("user {NOBODY} (pid ");
    cluster.wait_for_many(0, &cut, 3);
    assert_eq!(cluster.workers(), before);
    cluster.wait_until_serving(2);
    assert!(cluster.stop().success());
}

#[test]
fn a_control_socket_that_was_cleaned_away_is_made_again() {
    let cluster = Plan::shop().start();
    let path = cluster.data().join("run/control.sock");
    let mark = cluster.mark();
    std::fs::remove_file(&path).expect("removed");
    cluster.wait_from(mark, "was missing and has been bound again");
    cluster.wait_until_serving(2);
    assert_eq!(cluster.run_json(&["reload"])["did"], "reloaded");
}
