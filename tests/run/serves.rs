//! How programs get their connections, and how it is known that they are ready.

use crate::common::Cli;
use crate::harness::{address, answering, bare_part, free_port, get, part, under_load};

pub(crate) fn inherited_listener() {
    let cluster = part("server").start();
    let at = address(&cluster);
    let body = get(at, "/").expect("an answer");
    let life = body.trim().split(' ').nth(1).expect("a life");
    assert!(life.starts_with("1/"), "{body}");
    assert!(cluster.stop().success());
}

pub(crate) fn reload() {
    let cluster = part("server").start();
    let at = address(&cluster);
    let before = answering(at);
    let (answered, failures) = under_load(at, || {
        for _ in 0..3 {
            let result = cluster.run(&["reload"]);
            assert_eq!(result.code, 0, "{result:?}");
        }
    });
    assert!(answered > 0);
    assert_eq!(failures, Vec::<String>::new(), "of {answered} requests");
    assert_ne!(before, answering(at));
}

pub(crate) fn silent_program() {
    let cluster = part("server").start();
    let status = cluster.run_json(&["status"]);
    let shown = status["slots"][0]["worker"]["status"]
        .as_str()
        .unwrap_or_default();
    assert!(shown.ends_with("it accepts from its listener"), "{status}");
}

pub(crate) fn notifications() {
    let cluster = part("says-ready").arguments(&["--ready", "notify"]).start();
    assert!(get(address(&cluster), "/").is_ok());
}

pub(crate) fn by_itself() {
    let port = free_port().to_string();
    let cluster = bare_part("own-port")
        .environment("OWN_PORT", &port)
        .arguments(&["--workers", "1"])
        .start();
    cluster.wait_for(&format!(
        "the program binds by itself (it listens on 127.0.0.1:{port})"
    ));
    assert!(get(format!("127.0.0.1:{port}").parse().expect("an address"), "/").is_ok());
}
