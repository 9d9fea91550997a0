//! What is said of programs that did not do their work, and of their ends.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Cli, Cluster};
use crate::harness::{address, answering, bare_part, part, wait_until};

/// What `why` says when slot 0 has had its first death.
fn first_death(cluster: &Cluster) -> String {
    let mut why = String::new();
    wait_until("a death of slot 0", || {
        why = cluster.run(&["why", "0"]).stdout;
        why.contains(" ended after ")
    });
    why
}

pub(crate) fn stop() {
    let cluster = part("server").start();
    let stopped = cluster.run(&["stop"]);
    assert_eq!(
        (stopped.code, stopped.stdout.as_str()),
        (0, "stopped; every program ended by itself when it was asked to\n")
    );
    let cluster = part("ignores")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "drain_timeout = \"500ms\"")
        .start();
    let stopped = cluster.run(&["stop"]);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(stopped.stdout.contains("a program was killed"), "{stopped:?}");

    let mut cluster = part("server").start();
    cluster.signal(Signal::SIGQUIT);
    assert_eq!(cluster.wait().code(), Some(3), "nobody knows what was cut");
}

pub(crate) fn why_stopped() {
    let cluster = part("server")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "heartbeat_timeout = \"1s\"")
        .start();
    let program = answering(address(&cluster));
    let mark = cluster.mark();
    kill(Pid::from_raw(program), Signal::SIGSTOP).expect("it lives");
    cluster.wait_from(mark, "hung, no beat for");
    cluster.wait_from(mark, "the program: it is stopped (SIGSTOP)");
    let why = first_death(&cluster);
    assert!(why.contains("the program: it is stopped (SIGSTOP)"), "{why}");
    assert!(why.contains(&format!("(pid {program}): state T")), "{why}");
}

pub(crate) fn why_stuck() {
    let cluster = part("never-ready")
        .arguments(&[
            "--workers",
            "1",
            "--ready",
            "delay:10ms",
            "--stuck-timeout",
            "300ms",
        ])
        .start();
    let _waits = TcpStream::connect(address(&cluster)).expect("connected");
    let why = first_death(&cluster);
    assert!(
        why.contains("it gave itself up: the program: connections waited, and it has taken none for"),
        "{why}"
    );
}

pub(crate) fn why_probe_failed() {
    let cluster = part("server")
        .arguments(&["--workers", "1", "--ready", "tcp", "--probe", "http:/up"])
        .arguments(&["--env", "ANSWER=503 Service Unavailable"])
        .with("[cluster]", "heartbeat_timeout = \"3s\"")
        .start();
    let began = Instant::now();
    let why = first_death(&cluster);
    // On a busy machine one may fail for another reason than its answer.
    assert!(why.contains("probes have failed in a row"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

pub(crate) fn never_ready() {
    let cluster = part("never-ready")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "ready_timeout = \"1s\"")
        .launch();
    let killed = cluster.wait_for("it did not become ready in time (ready_timeout): run.ready is \"auto\"");
    let message = killed["message"].as_str().expect("text");
    assert!(
        message.contains("no thread of it waits for a connection"),
        "{message}"
    );
}

pub(crate) fn impossible_rule() {
    let mut cluster = bare_part("server").arguments(&["--ready", "http:/up"]).launch();
    cluster.wait_for("run.ready is \"http:/up\", and nobody can ask the program");
    assert_eq!(cluster.wait().code(), Some(78));
}

pub(crate) fn address_in_use() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let mut cluster = bare_part("own-port")
        .arguments(&["--workers", "1", "--env", &format!("OWN_PORT={port}")])
        .launch();
    cluster.wait_for("the program listens by itself on an address, and that address is in use");
    assert!(!cluster.wait().success());
}

pub(crate) fn stopped_master() {
    let cluster = part("server").arguments(&["--workers", "1"]).start();
    cluster.signal(Signal::SIGSTOP);
    let mut told = String::new();
    wait_until("the client sees it", || {
        told = cluster.run(&["status"]).stderr;
        told.contains(&format!(
            "the master (pid {}) is stopped (SIGSTOP)",
            cluster.pid()
        ))
    });
    cluster.signal(Signal::SIGCONT);
    assert!(cluster.stop().success());
}

pub(crate) fn rollback() {
    let cluster = part("server").arguments(&["--workers", "1"]).start();
    assert_eq!(cluster.run(&["reload"]).code, 0);
    let back = cluster.run(&["rollback"]);
    assert!(
        back.stdout
            .contains("the program's own files are as they are on disk"),
        "{back:?}"
    );
}
