//! A service manager that keeps the listeners over a restart of the service (`FDSTORE=1` of `sd_notify(3)`):
//! what waits in a queue while no master runs is answered by the next one.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use cluster::sys::seqpacket::{self, PacketRead};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use crate::activation::{Activated, activated_with};
use crate::common::{Cli, Cluster, Plan, TIMEOUT, notify_socket};

/// The store of a service manager.
struct Store {
    socket: UnixDatagram,
    fds: BTreeMap<String, OwnedFd>,
}

impl Store {
    /// Reads messages until the store is so.
    fn wait_until(&mut self, what: &str, holds: impl Fn(&BTreeMap<String, OwnedFd>) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !holds(&self.fds) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.fds.keys());
            let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut readable, 1000_u16).expect("polled");
            let mut buffer = [0; 4096];
            let (read, fds) = seqpacket::receive_with(self.socket.as_fd(), &mut buffer).expect("read");
            if let PacketRead::Packet(length) = read {
                self.take(std::str::from_utf8(&buffer[..length]).expect("text"), fds);
            }
        }
    }

    fn take(&mut self, message: &str, mut fds: Vec<OwnedFd>) {
        let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        let name = line("FDNAME=").unwrap_or_default().to_owned();
        if line("FDSTORE=") == Some("1") {
            assert_eq!(line("FDPOLL="), Some("0"), "{message}");
            self.fds.insert(name, fds.pop().expect("a descriptor"));
        } else if line("FDSTOREREMOVE=") == Some("1") {
            self.fds.remove(&name).expect("it was stored");
        }
    }

    fn holds(&self, begin: &str) -> usize {
        self.fds.keys().filter(|name| name.starts_with(begin)).count()
    }

    /// The next start of the service.
    fn start(&self, notify: &Path, bind: &[String]) -> Activated {
        let names: Vec<&str> = self.fds.keys().map(String::as_str).collect();
        let fds: Vec<BorrowedFd<'_>> = self.fds.values().map(AsFd::as_fd).collect();
        let flags: Vec<&str> = bind
            .iter()
            .flat_map(|address| ["--bind", address.as_str()])
            .collect();
        let notify = format!("NOTIFY_SOCKET={}", notify.display());
        activated_with(&names.join(":"), &fds, &flags, &[notify, "FDSTORE=64".to_owned()])
    }
}

/// A cluster with three slots, on a port and a path, and the store of its service manager.
struct Scene {
    cluster: Cluster,
    store: Store,
    notify: PathBuf,
    path: PathBuf,
    _directory: std::sync::Arc<tempfile::TempDir>,
}

fn scene() -> Scene {
    let (plan, socket) = notify_socket(Plan::shop());
    let path = plan.directory().join("http.sock");
    let notify = plan.directory().join("notify");
    let _directory = plan.keep();
    let bind = format!("\"127.0.0.1:0\", \"unix:{}\"", path.display());
    let plan = plan.replace("\"127.0.0.1:0\"", &bind);
    let plan = plan.replace("workers = 2", "workers = 3");
    let cluster = plan.environment("FDSTORE", "64").start();
    let mut store = Store {
        socket,
        fds: BTreeMap::new(),
    };
    store.wait_until("three members and a path", |fds| fds.len() == 4);
    assert_eq!(
        (store.holds("cluster-slot-"), store.holds("cluster-path-")),
        (3, 1)
    );
    Scene {
        cluster,
        store,
        notify,
        path,
        _directory,
    }
}

const GET: &[u8] = b"GET /healthz/liveness HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";

fn asked<S: Write>(mut stream: S) -> S {
    stream.write_all(GET).expect("sent");
    stream
}

fn assert_answered(mut stream: impl Read) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn tcp(address: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    asked(stream)
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    asked(stream)
}

#[test]
fn what_waits_between_two_masters_is_answered_also_at_slots_that_there_are_no_more() {
    for crash in [true, false] {
        let Scene {
            mut cluster,
            mut store,
            notify,
            path,
            _directory,
        } = scene();
        let address = cluster.address();
        cluster.run_json(&["scale", "4"]);
        store.wait_until("the added slot", |fds| fds.len() == 5);
        if crash {
            cluster.kill_master();
        } else {
            cluster.signal(Signal::SIGTERM);
            assert!(cluster.wait().success());
        }
        let waiting: Vec<TcpStream> = (0..40).map(|_| tcp(address)).collect();
        let local: Vec<UnixStream> = (0..5).map(|_| unix(&path)).collect();
        let bind = [address.to_string(), format!("unix:{}", path.display())];
        let next = store.start(&notify, &bind);
        next.wait(0, "the service manager kept 5 listeners, and 5 of them fit");
        waiting.into_iter().for_each(assert_answered);
        local.into_iter().for_each(assert_answered);
        assert_answered(tcp(address));
        assert_eq!(next.stop(), Some(0));
        // The next start would have them again: nothing was removed, and the file is there.
        assert_answered_later(&store, &notify, &bind, unix(&path));
    }
}

/// Another start answers what waits already.
fn assert_answered_later(store: &Store, notify: &Path, bind: &[String], waiting: UnixStream) {
    let next = store.start(notify, bind);
    assert_answered(waiting);
    assert_eq!(next.stop(), Some(0));
}

#[test]
fn what_fits_no_address_is_closed_and_dropped_from_the_store() {
    let Scene {
        mut cluster,
        mut store,
        notify,
        path,
        _directory,
    } = scene();
    let address = cluster.address();
    cluster.kill_master();
    let mut waiting = tcp(address);
    let next = store.start(
        &notify,
        &["127.0.0.1:0".to_owned(), format!("unix:{}", path.display())],
    );
    next.wait(0, "every worker is ready");
    // With port 0 any port fits.
    assert_answered(&mut waiting);
    assert_eq!(next.stop(), Some(0));
    let waiting = tcp(address);
    let next = store.start(&notify, &["127.0.0.2:0".to_owned()]);
    store.wait_until("only the new members", |fds| {
        fds.len() == 2 && fds.keys().all(|name| name.contains("-127.0.0.2_"))
    });
    let mut rest = Vec::new();
    match { waiting }.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(next.stop(), Some(0));
}

#[test]
fn a_reload_with_other_addresses_changes_what_is_kept() {
    let Scene {
        cluster,
        mut store,
        path,
        ..
    } = scene();
    let config = cluster.config_text();
    cluster.rewrite_config(&config.replace(&format!(", \"unix:{}\"", path.display()), ""));
    cluster.run_json(&["reload"]);
    store.wait_until("no path", |fds| fds.len() == 3);
    assert_eq!(store.holds("cluster-path-"), 0);
    assert!(cluster.stop().success());
}
