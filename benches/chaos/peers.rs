//! nginx under the same client: a worker process per CPU, `reuseport`, answering by itself. What it loses is
//! a fact here, no bar.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Call, Kind, Load};
use crate::common::TIMEOUT;
use crate::stage::Effort;
use crate::verdict::Verdict;

/// Reloads of the table.
const RELOADS: usize = 3;

/// Runs until it is dropped.
struct Nginx {
    master: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

/// What is done to it, how often, and how the n-th time.
type Deed = (&'static str, usize, fn(&Nginx, usize));

/// Kills and reloads under both loads. Empty when there is no nginx.
pub(crate) fn nginx(effort: &Effort) -> Vec<Verdict> {
    let missing = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_err();
    if missing {
        eprintln!("chaos: nginx is not installed; its rows are left out");
        return Vec::new();
    }
    let deeds: [Deed; 2] = [
        ("nginx: kill -9", effort.kills, Nginx::kill_a_worker),
        ("nginx: reload", RELOADS, Nginx::reload),
    ];
    let mut verdicts = Vec::new();
    for (name, times, deed) in deeds {
        for kind in [Kind::New, Kind::KeepAlive] {
            verdicts.push(under_load(effort, kind, &format!("{name} x {times}"), |nginx| {
                for number in 0..times {
                    deed(nginx, number);
                    std::thread::sleep(effort.rest * 3);
                }
            }));
        }
    }
    verdicts
}

fn under_load(effort: &Effort, kind: Kind, name: &str, deeds: impl Fn(&Nginx)) -> Verdict {
    let nginx = Nginx::start();
    let get = Call {
        method: "GET",
        path: "/",
        body: "",
    };
    let load = Load {
        address: nginx.address,
        kind,
        rate: effort.rate,
        calls: vec![get],
    };
    let (running, began) = (load.start(), Instant::now());
    std::thread::sleep(effort.steady);
    let struck = Instant::now();
    deeds(&nginx);
    let calm = Instant::now();
    std::thread::sleep(effort.steady);
    let log = running.finish();
    let mut verdict = Verdict::new(name, kind, &log);
    verdict.note_latency(&log, began..struck, struck..calm);
    verdict
}

impl Nginx {
    fn start() -> Nginx {
        let directory = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let path = directory.path().join("nginx.conf");
        std::fs::write(&path, configuration(directory.path(), address)).expect("written");
        let master = Command::new("nginx")
            .arg("-c")
            .arg(path)
            .arg("-p")
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nginx = Nginx {
            master,
            address,
            _directory: directory,
        };
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        nginx
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.master.id()).expect("a pid"))
    }

    fn kill_a_worker(&self, number: usize) {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(path).expect("it lives");
        let workers: Vec<i32> = children
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        kill(Pid::from_raw(workers[number % workers.len()]), Signal::SIGKILL).expect("it lives");
    }

    fn reload(&self, _number: usize) {
        kill(self.pid(), Signal::SIGHUP).expect("it lives");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One that is gone needs no signal.
        let _gone = kill(self.pid(), Signal::SIGTERM);
        let _gone = self.master.wait();
    }
}

fn configuration(directory: &Path, address: SocketAddr) -> String {
    let directory = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {directory}/{what};\n"))
        .concat();
    format!(
        "daemon off;\npid {directory}/pid;\nerror_log {directory}/log;\nworker_processes 2;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000; keepalive_timeout 1h;\n{temporary}\
         server {{ listen {address} reuseport; location / {{ return 200 \"hello\"; }} }} }}\n"
    )
}
