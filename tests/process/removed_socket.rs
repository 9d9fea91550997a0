//! A public unix socket whose file somebody removes.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::{Plan, TIMEOUT};

fn answers(path: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(path) else {
        return false;
    };
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    let request = "GET /healthz/liveness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.starts_with("HTTP/1.1 200")
}

#[test]
fn a_removed_public_socket_is_bound_again_and_served_by_the_workers_there_are() {
    let plan = Plan::shop();
    let path = plan.directory().join("public.sock");
    let bind = format!("\"127.0.0.1:0\", \"unix:{}\"", path.display());
    let cluster = plan.replace("\"127.0.0.1:0\"", &bind).start();
    assert!(answers(&path));
    let before = cluster.workers();
    for _ in 0..2 {
        let from = cluster.mark();
        std::fs::remove_file(&path).expect("removed");
        cluster.wait_from(from, "was missing and has been bound again");
        let deadline = Instant::now() + TIMEOUT;
        while !answers(&path) {
            assert!(Instant::now() < deadline, "nobody serves it");
        }
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(cluster.workers(), before, "no worker was replaced for it");
    let from = cluster.mark();
    cluster.signal(Signal::SIGHUP);
    cluster.wait_from(from, "reload done");
    assert!(answers(&path));
    assert!(cluster.stop().success());
    assert!(!path.exists());
}
