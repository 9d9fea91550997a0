//! The supervisor from outside: real processes, real signals, and what a client sees meanwhile.

use std::io::{Read, Write};
use std::time::Duration;

use crate::common::Plan;
use nix::sys::signal::Signal;

#[test]
fn it_serves_and_stops_when_asked() {
    let cluster = Plan::shop().start();
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    assert_eq!(cluster.get("/healthz/readiness").status, 200);
    assert_eq!(cluster.workers().len(), 2);
    let status = cluster.stop();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_killed_worker_is_replaced_and_its_sibling_serves_meanwhile() {
    let cluster = Plan::shop().start();
    let before = cluster.worker(1);
    let mark = cluster.mark();
    cluster.signal_worker(1, Signal::SIGKILL);
    cluster.wait_from(mark, "worker crashed (signal 9, SIGKILL)");
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    cluster.wait_from(mark, "worker ready");
    cluster.wait_for_successor(1, before);
    for _ in 0..20 {
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
    }
    assert!(cluster.stop().success());
}

#[test]
fn the_only_worker_comes_back_for_whoever_waits_in_its_queue() {
    let cluster = Plan::shop().replace("workers = 2", "workers = 1").start();
    for _ in 0..5 {
        let mark = cluster.mark();
        let killed = cluster.signal_worker(0, Signal::SIGKILL);
        // Nobody listens but the master, who keeps the listener: the request waits, and is answered.
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
        cluster.wait_from(mark, "worker ready");
        cluster.wait_for_successor(0, killed);
    }
    assert!(cluster.stop().success());
}

#[test]
fn a_stopped_worker_is_quarantined_then_killed_and_replaced() {
    let cluster = Plan::shop()
        .with(
            "[cluster]",
            "heartbeat_interval = \"100ms\"\nheartbeat_timeout = \"2s\"",
        )
        .start();
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGSTOP);
    cluster.wait_from(mark, "worker late");
    for _ in 0..20 {
        assert_eq!(
            cluster.get("/healthz/liveness").status,
            200,
            "a new connection went to the stopped worker"
        );
    }
    let line = cluster.wait_from(mark, "killing worker: hung");
    assert!(
        line["message"]
            .as_str()
            .expect("a message")
            .contains("stopped by a signal"),
        "{line}"
    );
    cluster.wait_from(mark, "worker ready");
    assert!(cluster.stop().success());
}

#[test]
fn a_worker_that_was_only_stopped_for_a_moment_is_not_killed() {
    let cluster = Plan::shop()
        .with(
            "[cluster]",
            "heartbeat_interval = \"100ms\"\nheartbeat_timeout = \"30s\"",
        )
        .start();
    let mark = cluster.mark();
    let pid = cluster.signal_worker(0, Signal::SIGSTOP);
    cluster.wait_from(mark, "worker late");
    cluster.signal_worker(0, Signal::SIGCONT);
    cluster.wait_from(mark, "worker beats again");
    assert_eq!(cluster.worker(0), pid);
    assert_eq!(cluster.count_from(mark, "killing worker"), 0);
    assert!(cluster.stop().success());
}

#[test]
fn a_spinning_handler_is_a_hang_and_said_to_spin() {
    let cluster = Plan::shop()
        .with(
            "[cluster]",
            "heartbeat_interval = \"100ms\"\nheartbeat_timeout = \"2s\"",
        )
        .start();
    let mark = cluster.mark();
    let url = cluster.url("/drill/spin?ms=60000");
    let client =
        std::thread::spawn(move || crate::common::Answer::try_of(crate::common::client().get(url).call()));
    cluster.wait_from(mark, "worker late");
    let line = cluster.wait_from(mark, "killing worker: hung");
    assert!(
        line["message"].as_str().expect("a message").contains("spins"),
        "{line}"
    );
    cluster.wait_from(mark, "worker ready");
    assert!(
        client.join().expect("joined").is_err(),
        "the request of a killed worker was answered"
    );
    assert!(cluster.stop().success());
}

#[test]
fn a_reload_replaces_every_worker_and_reads_the_configuration_again() {
    let cluster = Plan::shop().start();
    let before = cluster.workers();
    let mark = cluster.mark();
    cluster.rewrite_config(&cluster.config_text().replace("routes = true", "routes = false"));
    assert_eq!(cluster.get("/drill/sleep?ms=1").status, 200);
    cluster.signal(Signal::SIGHUP);
    cluster.wait_from(mark, "reload done");
    cluster.wait_for_many(mark, "worker gone", 2);
    assert_eq!(cluster.get("/drill/sleep?ms=1").status, 404);
    cluster.wait_for_workers("only new workers", |workers| {
        workers
            .iter()
            .all(|(slot, pids)| pids.len() == 1 && pids != &before[slot])
    });
    assert!(cluster.stop().success());
}

#[test]
fn a_reload_to_a_bad_configuration_changes_nothing_and_says_why() {
    let cluster = Plan::shop().start();
    let before = cluster.workers();
    let mark = cluster.mark();
    cluster.rewrite_config(&cluster.config_text().replace("workers = 2", "wrokers = 2"));
    cluster.signal(Signal::SIGHUP);
    let line = cluster.wait_from(mark, "reload backed out");
    let message = line["message"].as_str().expect("a message");
    assert!(
        message.contains("wrokers") && message.contains("did you mean \"workers\"?"),
        "{message}"
    );
    assert_eq!(cluster.workers(), before);
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    assert!(cluster.stop().success());
}

#[test]
fn slots_come_and_go_by_signal() {
    let cluster = Plan::shop().start();
    let mark = cluster.mark();
    cluster.signal(Signal::SIGTTIN);
    cluster.wait_from(mark, "scaled");
    cluster.wait_from(mark, "worker ready");
    cluster.wait_for_workers("three workers", |workers| workers.len() == 3);
    let mark = cluster.mark();
    cluster.signal(Signal::SIGTTOU);
    cluster.wait_from(mark, "worker gone");
    cluster.wait_for_workers("two workers", |workers| workers.keys().eq(&[0, 1]));
    for _ in 0..20 {
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
    }
    assert!(cluster.stop().success());
}

#[test]
fn signals_without_a_meaning_here_kill_neither_master_nor_workers() {
    let cluster = Plan::shop().start();
    let before = cluster.workers();
    for signal in [
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
    ] {
        cluster.signal(signal);
        cluster.signal_worker(0, signal);
    }
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH] {
        cluster.signal_worker(0, signal);
    }
    // As they come to a whole process group, which adds a slot and takes it away again: a worker they stop is
    // found hung.
    for signal in [Signal::SIGTTIN, Signal::SIGTTOU] {
        cluster.signal_worker(0, signal);
        cluster.signal_worker(1, signal);
        for pid in before.values().flatten() {
            let state = cluster::sys::procfs::stat(*pid).expect("it lives").state;
            assert_ne!(state, 'T', "{signal} stopped a worker");
        }
    }
    for signal in [Signal::SIGUSR1, Signal::SIGWINCH] {
        cluster.signal(signal);
    }
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        cluster.signal_worker(0, signal);
    }
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    assert_eq!(cluster.workers(), before);
    assert!(cluster.stop().success());
}

#[test]
fn a_second_stop_does_not_wait() {
    let mut cluster = Plan::shop().start();
    let mark = cluster.mark();
    let mut client = std::net::TcpStream::connect(cluster.address()).expect("connected");
    client
        .write_all(b"GET /drill/sleep?ms=25000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    cluster.wait_for_request_in_flight();
    cluster.signal(Signal::SIGTERM);
    cluster.wait_from(mark, "stopping");
    // Two that follow each other within 250 ms are one.
    std::thread::sleep(Duration::from_millis(300));
    cluster.signal(Signal::SIGTERM);
    let status = cluster.wait();
    assert_eq!(status.code(), Some(3), "{status}");
}

#[test]
fn a_stop_that_is_said_twice_in_one_breath_cuts_nobody() {
    let mut cluster = Plan::shop().start();
    let mark = cluster.mark();
    let mut client = std::net::TcpStream::connect(cluster.address()).expect("connected");
    client
        .write_all(b"GET /drill/sleep?ms=1500 HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    cluster.wait_for_request_in_flight();
    cluster.signal(Signal::SIGTERM);
    cluster.wait_from(mark, "stopping");
    cluster.signal(Signal::SIGTERM);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(cluster.wait().code(), Some(0));
}

#[test]
fn a_taken_port_and_a_taken_directory_are_refused_by_name() {
    let cluster = Plan::shop().start();
    let address = cluster.address().to_string();
    let pid = cluster.pid().to_string();
    let mut second = Plan::shop().replace("127.0.0.1:0", &address).launch();
    let line = second.wait_for("is in use by pid");
    assert!(
        line["message"].as_str().expect("a message").contains(&pid),
        "{line}"
    );
    assert_eq!(second.wait().code(), Some(69));
    let mut third = Plan::shop().over(&cluster).launch();
    let line = third.wait_for("another master uses the directory");
    assert!(
        line["message"].as_str().expect("a message").contains(&pid),
        "{line}"
    );
    assert_eq!(third.wait().code(), Some(69));
    assert!(cluster.stop().success());
}

#[test]
fn a_new_master_waits_for_the_last_ones_workers_and_serves() {
    let mut first = Plan::shop().start();
    let address = first.address().to_string();
    let orphans: Vec<i32> = first.workers().into_values().flatten().collect();
    first.kill_master();
    let second = Plan::shop().over(&first).replace("127.0.0.1:0", &address).start();
    assert_eq!(second.get("/healthz/liveness").status, 200);
    for pid in orphans {
        let alive = second
            .workers()
            .into_values()
            .flatten()
            .any(|worker| worker == pid);
        assert!(!alive, "pid {pid} is taken for a worker of the new master");
    }
    assert!(second.stop().success());
}

#[test]
fn a_hung_worker_of_a_dead_master_does_not_keep_the_next_one_out_and_a_busy_one_is_left_alone() {
    let mut first = Plan::shop()
        .with("[cluster]", "heartbeat_timeout = \"1h\"")
        .start();
    let address = first.address().to_string();
    let mark = first.mark();
    let hung = first.signal_worker(0, Signal::SIGSTOP);
    first.wait_from(mark, "worker late");
    let mut client = std::net::TcpStream::connect(first.address()).expect("connected");
    client
        .write_all(b"GET /drill/sleep?ms=4000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    first.wait_for_request_in_flight();
    let patience = "heartbeat_timeout = \"800ms\"\ndrain_timeout = \"1h\"";
    first.kill_master();
    let second = Plan::shop()
        .with("[cluster]", patience)
        .over(&first)
        .replace("127.0.0.1:0", &address)
        .start();
    let line = second.wait_for("killing a worker of the last master: it hangs");
    assert_eq!(line["pid"], hung);
    assert_eq!(second.get("/healthz/liveness").status, 200);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer to its end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(second.count_from(0, "killing a worker of the last master"), 1);
    assert!(second.stop().success());
}

#[test]
fn a_stop_that_cut_a_request_says_so_and_one_that_cut_nothing_does_not() {
    let mut cluster = Plan::shop().start();
    let mut client = std::net::TcpStream::connect(cluster.address()).expect("connected");
    client
        .write_all(b"GET /drill/sleep?ms=25000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    cluster.wait_for_request_in_flight();
    cluster.signal(Signal::SIGQUIT);
    assert_eq!(cluster.wait().code(), Some(3), "a request was cut");

    let mut idle = Plan::shop().start();
    idle.signal(Signal::SIGTERM);
    idle.signal(Signal::SIGQUIT);
    assert_eq!(idle.wait().code(), Some(0), "nothing was cut");
}

#[test]
fn a_stopping_cluster_refuses_new_connections_and_finishes_the_old() {
    let cluster = Plan::shop().start();
    let address = cluster.address();
    let mut client = std::net::TcpStream::connect(address).expect("connected");
    client
        .write_all(b"GET /drill/sleep?ms=3000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    cluster.wait_for_request_in_flight();
    let mark = cluster.mark();
    cluster.signal(Signal::SIGTERM);
    cluster.wait_from(mark, "worker gone");
    let refused = std::net::TcpStream::connect(address).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused));
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer to its end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
