//! What the tests of `cluster run` share.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use crate::common::wait_until;
use crate::common::{Cli, Cluster, Plan, TIMEOUT};

/// This program in one of its parts, with a listener of the cluster's own.
pub(crate) fn part(name: &str) -> Plan {
    let program = std::env::current_exe().expect("a path");
    let program = program.to_str().expect("text").to_owned();
    Plan::run(&[&program, name]).arguments(&["--bind", "127.0.0.1:0"])
}

/// Without addresses of the cluster's own.
pub(crate) fn bare_part(name: &str) -> Plan {
    let program = std::env::current_exe().expect("a path");
    Plan::run(&[program.to_str().expect("text"), name])
}

pub(crate) fn node_is_there() -> bool {
    let version = Command::new("node").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The first address of the cluster, as `status` has it.
pub(crate) fn address(cluster: &Cluster) -> SocketAddr {
    let status = cluster.run_json(&["status"]);
    let addresses = status["master"]["addresses"].as_array().expect("addresses");
    addresses[0].as_str().expect("text").parse().expect("an address")
}

/// The body of the answer to one request on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(body.to_owned())
}

/// The pid of the program that answers.
pub(crate) fn answering(address: SocketAddr) -> i32 {
    let body = get(address, "/").expect("an answer");
    body.split(' ').next().expect("a pid").parse().expect("a number")
}

/// Whether there is a process of this pid that has not ended.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

/// What clients with a connection for each request met while `during` ran.
pub(crate) fn under_load(address: SocketAddr, during: impl FnOnce()) -> (u64, Vec<String>) {
    let ask = |_: &AtomicBool, answered: &AtomicU64| {
        get(address, "/")?;
        answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    with_clients(ask, during)
}

/// Has clients connect again and again while `during` runs. Each connection counts its answers and leaves off
/// when it is told to. Returns the answers, and how connections failed.
pub(crate) fn with_clients(
    connection: impl Fn(&AtomicBool, &AtomicU64) -> std::io::Result<()> + Sync,
    during: impl FnOnce(),
) -> (u64, Vec<String>) {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = connection(&stop, &answered) {
                        failures.lock().expect("a lock").push(error.to_string());
                    }
                }
            });
        }
        let _stop = StopAtEnd(&stop);
        during();
    });
    (answered.into_inner(), failures.into_inner().expect("a lock"))
}

/// Ends the clients also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes the files of a program.
pub(crate) fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(directory.join(name), text).expect("written");
    }
}
