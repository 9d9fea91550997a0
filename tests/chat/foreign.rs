//! WebSocket clients that are not ours. A test whose client is not installed says so and counts as skipped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::runner::Test;
use crate::started;

pub(crate) const TESTS: &[Test] = &[
    ("the_client_of_node_is_closed_with_1001", node),
    ("the_client_of_python_is_closed_with_1001", python),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn node() {
    let mut client = Command::new("node");
    client.arg("--experimental-websocket");
    let works = Command::new("node")
        .args(["--experimental-websocket", "-e", "WebSocket"])
        .output()
        .is_ok_and(|tried| tried.status.success());
    if !works {
        return skipped("there is no node with a WebSocket client (version 20.10 or newer)");
    }
    client.arg(Path::new(ROOT).join("tests/chat/client.mjs"));
    talks_and_is_told(client, "Node");
}

fn python() {
    let python = Path::new(ROOT).join("target/python-client/bin/python");
    if !python.exists() {
        return skipped("tests/chat/python-client has not been run, which installs Python's websockets");
    }
    let mut client = Command::new(python);
    client.arg(Path::new(ROOT).join("tests/chat/client.py"));
    talks_and_is_told(client, "Python");
}

fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// The client hears itself, and hears of the reload.
fn talks_and_is_told(mut client: Command, name: &str) {
    let cluster = started("");
    client.arg(cluster.address().to_string());
    let mut client = client.stdout(Stdio::piped()).spawn().expect("the client starts");
    let mut said = BufReader::new(client.stdout.take().expect("piped")).lines();
    let mut next = || said.next().expect("a line").expect("text");
    assert_eq!(next(), format!("heard from {name}"));
    let mark = cluster.mark();
    cluster.signal(Signal::SIGHUP);
    assert_eq!(next(), "closed 1001");
    assert!(client.wait().expect("an end").success());
    cluster.wait_from(mark, "reload done");
}
