//! The admin listener itself: who is answered, who is refused, and that nobody holds anybody up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::common::{Answer, Cluster, Plan, Scrape, TIMEOUT, admin, client, watched};

/// Sends these bytes on a connection of its own, and takes what comes back.
fn say(admin: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(admin).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn get(admin: SocketAddr, path: &str) -> Answer {
    Answer::try_of(client().get(format!("http://{admin}{path}")).call()).expect("an answer")
}

fn never_killed(plan: Plan) -> Plan {
    plan.with(
        "[cluster]",
        "heartbeat_timeout = \"1h\"\nlock_hold_timeout = \"1h\"",
    )
}

/// Scrapes until it says so.
fn wait_until(admin: SocketAddr, what: &str, is_it: impl Fn(&Scrape) -> bool) {
    let deadline = std::time::Instant::now() + TIMEOUT;
    while !is_it(&Scrape::of(admin)) {
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
    }
}

#[test]
fn names_that_anybody_can_point_here_are_refused_and_so_is_all_that_changes() {
    let cluster = watched().start();
    let admin = admin(&cluster);
    let metrics = |host: &str| say(admin, format!("GET /metrics HTTP/1.1\r\n{host}\r\n").as_bytes());
    for host in [
        "Host: localhost:1\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: [::1]:9900\r\n",
    ] {
        assert!(metrics(host).starts_with("HTTP/1.1 200"), "{host}");
    }
    for (host, status) in [
        ("Host: evil.example\r\n", 421),
        ("", 400),
        ("Host: 127.0.0.1\r\nHost: evil.example\r\n", 400),
        ("Host: 127.0.0.1:-1\r\n", 400),
        ("Host: user@127.0.0.1\r\n", 400),
    ] {
        let answer = metrics(host);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{host}: {answer}"
        );
        assert!(!answer.contains("cluster_"), "{answer}");
    }
    let elsewhere = b"GET http://evil.example/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert!(say(admin, elsewhere).starts_with("HTTP/1.1 400"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let head = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        let answer = say(admin, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
        assert!(answer.to_lowercase().contains("allow: get,head"), "{answer}");
    }
    let head = say(admin, b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(say(admin, b"\x16\x03\x01 no http\r\n\r\n").starts_with("HTTP/1.1 400"));
    for path in ["/healthz/liveness", "/healthz/readiness", "/healthz/startup"] {
        assert_eq!(get(admin, path).status, 200);
    }
    for path in ["/", "/inventory", "/drill/abort"] {
        assert_eq!(get(admin, path).status, 404, "{path}");
    }
    assert_eq!(
        cluster.get("/metrics").status,
        404,
        "the service does not show it"
    );
    assert!(cluster.stop().success());
}

#[test]
fn nothing_is_asked_of_a_worker_that_hangs() {
    let cluster = never_killed(watched()).start();
    let admin = admin(&cluster);
    cluster.signal_worker(1, Signal::SIGSTOP);
    for _ in 0..50 {
        Scrape::of(admin);
    }
    wait_until(admin, "the quarantine", |scrape| {
        scrape.value("cluster_slots{state=\"quarantined\"}") == 1.0
            && scrape.value("cluster_steering_weight{slot=\"1\"}") == 0.0
            && scrape.value("cluster_worker_beat_age_seconds{slot=\"1\"}") > 0.25
    });
    cluster.signal_worker(1, Signal::SIGCONT);
    wait_until(admin, "its return", |scrape| {
        scrape.value("cluster_slots{state=\"serving\"}") == 2.0
    });
    assert!(cluster.stop().success());
}

#[test]
fn a_question_waits_for_the_next_worker_when_the_only_one_is_killed() {
    let cluster = watched().replace("workers = 2", "workers = 1").start();
    let admin = admin(&cluster);
    for kills in 1..4 {
        let mark = cluster.mark();
        cluster.signal_worker(0, Signal::SIGKILL);
        cluster.wait_from(mark, "worker crashed");
        let scrape = Scrape::of(admin);
        assert_eq!(
            scrape.value("cluster_worker_exits_total{cause=\"signal\"}"),
            f64::from(kills)
        );
    }
    assert!(cluster.stop().success());
}

#[test]
fn those_who_ask_and_say_nothing_hold_up_neither_the_service_nor_the_others_for_long() {
    let cluster = watched().start();
    let admin = admin(&cluster);
    let _silent: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(admin).expect("connected"))
        .collect();
    for _ in 0..50 {
        assert_eq!(cluster.get("/healthz/readiness").status, 200);
    }
    // They are still there: whoever says nothing goes for whoever asks.
    Scrape::of(admin);
    assert!(cluster.stop().success());
}

#[test]
fn a_master_that_does_not_answer_is_told_and_the_service_goes_on() {
    let cluster = watched().start();
    let admin = admin(&cluster);
    let before = Scrape::of(admin);
    cluster.signal(Signal::SIGSTOP);
    let answer = get(admin, "/metrics");
    let alive = get(admin, "/healthz/liveness").status;
    let served = cluster.get("/healthz/readiness").status;
    cluster.signal(Signal::SIGCONT);
    assert_eq!((answer.status, alive, served), (503, 200, 200), "{answer:?}");
    assert!(answer.body.contains("the master does not answer"), "{answer:?}");
    assert_eq!(Scrape::of(admin).fallen_since(&before), Vec::<String>::new());
    assert!(cluster.stop().success());
}

#[test]
fn a_reload_cannot_move_it_and_without_it_nothing_is_there() {
    let cluster = Plan::shop().with("[cluster]", "admin = \"127.0.0.1:0\"").start();
    let admin = admin(&cluster);
    let text = cluster.config_text();
    cluster.rewrite_config(&text.replace("admin = \"127.0.0.1:0\"", "admin = \"127.0.0.1:1\""));
    cluster.signal(Signal::SIGHUP);
    cluster.wait_for("a reload cannot change cluster.admin");
    Scrape::of(admin);
    assert!(cluster.stop().success());
    let (bare, nobody): (Cluster, _) = (Plan::shop().start(), "metrics at /metrics");
    assert_eq!(bare.count_from(0, nobody), 0);
    assert!(bare.stop().success());
}

#[test]
fn a_cluster_whose_clients_took_every_descriptor_can_still_be_watched() {
    let plan = watched();
    let program = plan.directory().join("few-files");
    let text = format!(
        "#!/bin/sh\nulimit -n 120\nexec {:?} \"$@\"\n",
        env!("CARGO_BIN_EXE_cluster")
    );
    std::fs::write(&program, text).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let cluster = plan.program(&program).start();
    let admin = admin(&cluster);
    let _held: Vec<TcpStream> = (0..260)
        .map(|_| TcpStream::connect(cluster.address()).expect("connected"))
        .collect();
    wait_until(admin, "every connection was seen", |scrape| {
        scrape.value("cluster_connections_accepted_total") == 260.0
    });
    let refused = Scrape::of(admin).value("cluster_connections_refused_total");
    assert!(refused >= 60.0, "{refused}");
    for _ in 0..10 {
        assert_eq!(get(admin, "/healthz/readiness").status, 200);
    }
    assert_eq!(cluster.count_from(0, "but a process may open 120 files here"), 1);
    assert_eq!(cluster.count_from(0, "could not be accepted"), 0);
}
