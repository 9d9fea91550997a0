//! Sockets that a service manager bound and passed (`sd_listen_fds(3)`): the cluster serves them as they are.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use cluster::sys::pidfd;
use cluster::sys::process::{Binary, Child, ChildSignals, Spawn, spawn};
use nix::sys::signal::Signal;

use crate::common::{Log, TIMEOUT, run};

/// A master that was started by a service manager: with these sockets, and these names of them.
pub(crate) struct Activated {
    child: Child,
    pub(crate) log: Log,
    directory: tempfile::TempDir,
}

fn activated(names: &str, sockets: &[BorrowedFd<'_>], flags: &[&str]) -> Activated {
    activated_with(names, sockets, flags, &[])
}

/// The same with more variables in its environment.
pub(crate) fn activated_with(
    names: &str,
    sockets: &[BorrowedFd<'_>],
    flags: &[&str],
    variables: &[String],
) -> Activated {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let program = env!("CARGO_BIN_EXE_cluster");
    let always = ["serve", "--workers", "2", "--log-format", "json", "--data-dir"];
    let words = [&[program], &always[..], &[data.to_str().expect("text")], flags].concat();
    let text = |text: &str| CString::new(text).expect("no NUL");
    let (stderr, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    let (binary, null) = (
        File::open(program).expect("there"),
        File::open("/dev/null").expect("there"),
    );
    let mut env = vec![
        text("PATH=/usr/bin:/bin"),
        text(&format!("LISTEN_FDS={}", sockets.len())),
        text(&format!("LISTEN_FDNAMES={names}")),
    ];
    env.extend(variables.iter().map(|variable| text(variable)));
    let child = spawn(&Spawn {
        binary: Binary::Open(binary.as_fd()),
        args: &words.iter().map(|word| text(word)).collect::<Vec<_>>(),
        env: &env,
        listen_pid: true,
        directory: None,
        signals: ChildSignals::Worker,
        stdio: [null.as_fd(), null.as_fd(), writer.as_fd()],
        fds: sockets,
        keep: &[],
        bound: true,
        group: None,
        credentials: None,
    })
    .expect("started");
    drop(writer);
    Activated {
        child,
        log: Log::follow(File::from(stderr)),
        directory,
    }
}

impl Activated {
    pub(crate) fn wait(&self, from: usize, text: &'static str) {
        self.log.wait(from, text, |line| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        });
    }

    fn signal(&self, signal: Signal) {
        pidfd::signal(self.child.pidfd.as_fd(), signal).expect("it runs");
    }

    pub(crate) fn stop(&self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.code()
    }

    fn code(&self) -> Option<i32> {
        assert!(
            pidfd::exits_within(&self.child.pidfd, TIMEOUT),
            "{}",
            self.log.text()
        );
        match pidfd::reap(self.child.pid)
            .expect("a child")
            .expect("it has exited")
            .status
        {
            nix::sys::wait::WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        }
    }
}

fn get(stream: impl Read + Write, path: &str) -> String {
    let mut stream = stream;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream
}

#[test]
fn sockets_that_were_passed_are_served_through_reloads_and_upgrades() {
    let one = TcpListener::bind("127.0.0.1:0").expect("bound");
    let admin = TcpListener::bind("127.0.0.1:0").expect("bound");
    let outside = tempfile::tempdir().expect("a directory");
    let path = outside.path().join("shop.sock");
    let two = UnixListener::bind(&path).expect("bound");
    let cluster = activated("web:admin:local", &[one.as_fd(), admin.as_fd(), two.as_fd()], &[]);
    let (address, metrics) = (
        one.local_addr().expect("bound"),
        admin.local_addr().expect("bound"),
    );
    drop((one, admin, two));
    cluster.wait(0, "every worker is ready");
    let all_answer = || {
        for _ in 0..4 {
            assert!(get(tcp(address), "/healthz/liveness").starts_with("HTTP/1.1 200"));
            assert!(get(unix(&path), "/healthz/liveness").starts_with("HTTP/1.1 200"));
        }
        assert!(get(tcp(metrics), "/metrics").contains("# HELP cluster_"));
    };
    all_answer();
    cluster.signal(Signal::SIGHUP);
    cluster.wait(0, "reload done");
    all_answer();
    let data = cluster.directory.path().join("data");
    let data = data.to_str().expect("text");
    assert_eq!(run(&["upgrade", "--data-dir", data]).code, 0);
    all_answer();
    let status = run(&["status", "--json", "--data-dir", data]).json();
    assert_eq!(
        status["master"]["unsteered"],
        serde_json::json!([address.to_string()])
    );
    let text = run(&["status", "--data-dir", data]).stdout;
    assert!(text.contains(&format!("\nnot steered: {address} (")), "{text}");
    let addresses = status["master"]["addresses"].to_string();
    assert!(
        addresses.contains(&address.to_string()) && addresses.contains("shop.sock"),
        "{addresses}"
    );
    assert_eq!(cluster.stop(), Some(0));
    assert!(path.exists(), "the file is the service manager's");
}

#[test]
fn an_address_of_ones_own_is_bound_beside_what_was_passed() {
    let passed = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = passed.local_addr().expect("bound");
    let cluster = activated("web", &[passed.as_fd()], &["--bind", "127.0.0.1:0"]);
    drop(passed);
    cluster.wait(0, "every worker is ready");
    assert!(get(tcp(address), "/healthz/liveness").starts_with("HTTP/1.1 200"));
    cluster.wait(0, "listening on 127.0.0.1:");
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn a_descriptor_that_is_no_listener_is_refused_by_its_name() {
    let file = File::open("/dev/null").expect("there");
    let cluster = activated("web", &[file.as_fd()], &[]);
    assert_eq!(cluster.code(), Some(78), "{}", cluster.log.text());
    cluster.wait(0, "descriptor 3 (\"web\" of LISTEN_FDNAMES)");
}
