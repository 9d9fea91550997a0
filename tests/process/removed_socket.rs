//! A public unix socket whose file somebody removes, or replaces by something else.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::{Cli, Cluster, Plan, TIMEOUT};

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

/// A cluster with a public socket at a path.
fn with_socket(name: &str) -> (Cluster, PathBuf) {
    let plan = Plan::shop();
    let path = plan.directory().join(name);
    let bind = format!("\"127.0.0.1:0\", \"unix:{}\"", path.display());
    (plan.replace("\"127.0.0.1:0\"", &bind).start(), path)
}

/// A reload is refused in one line that names the path and says this of it.
fn assert_refused(cluster: &Cluster, path: &Path, what: &str) {
    let reload = cluster.run(&["reload"]);
    assert_ne!(reload.code, 0, "{}", reload.stdout);
    let said = format!("{}{}", reload.stdout, reload.stderr);
    let line = said.lines().find(|line| line.contains(what));
    let line = line.unwrap_or_else(|| panic!("{what:?} is not in {said}"));
    assert!(line.contains(path.to_str().expect("text")), "{line}");
}

#[test]
fn a_file_of_somebody_elses_refuses_a_reload_and_stops_no_worker() {
    let (cluster, path) = with_socket("public.sock");
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "precious").expect("written");
    cluster.wait_for("is missing, and no client reaches it");
    assert_refused(&cluster, &path, "a regular file is there, and no socket");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "precious");
    let killed = cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_for_successor(0, killed);
    let mark = cluster.mark();
    std::fs::remove_file(&path).expect("removed");
    cluster.wait_from(mark, "was missing and has been bound again");
    cluster.run_json(&["reload"]);
    assert!(answers(&path));
    assert!(cluster.stop().success());
}

#[test]
fn a_socket_of_somebody_elses_refuses_a_reload() {
    let (cluster, path) = with_socket("public.sock");
    let other = path.with_file_name("other.sock");
    let theirs = UnixListener::bind(&other).expect("bound");
    std::fs::rename(&other, &path).expect("replaced");
    let who = format!("pid {} (", std::process::id());
    assert_refused(&cluster, &path, &who);
    let _directory = cluster.keep();
    assert!(cluster.stop().success());
    assert!(path.exists(), "it is not the cluster's");
    // Not before: a socket where nobody listens is taken for a left-over, and the path is bound again.
    drop(theirs);
}

#[test]
fn a_new_path_where_something_lies_refuses_the_reload() {
    let (cluster, path) = with_socket("public.sock");
    let new = path.with_file_name("new.sock");
    std::fs::create_dir(&new).expect("made");
    let config = cluster.config_text();
    let both = format!("\"unix:{}\", \"unix:{}\"", path.display(), new.display());
    cluster.rewrite_config(&config.replace(&format!("\"unix:{}\"", path.display()), &both));
    assert_refused(&cluster, &new, "a directory is there, and no socket");
    assert!(answers(&path));
    let _directory = cluster.keep();
    assert!(cluster.stop().success());
    assert!(new.is_dir() && !path.exists());
}
