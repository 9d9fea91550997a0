//! The cluster that is tortured. This module starts and restarts its master, knows its address and its
//! workers, and leaves no process behind. It signals only processes that it started itself, or that those
//! started (it is their subreaper).

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::disk::SmallDisk;
use super::server::TorturedServer;
use super::workspace;
use crate::shop::evidence::audit::{self, Moment};
use crate::sys::{pidfd, procfs};

/// How long a master may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running cluster. Dropping it kills all its processes.
pub(super) struct TorturedCluster {
    workspace: PathBuf,
    disk: Option<SmallDisk>,
    server: Option<TorturedServer>,
    master: Mutex<Child>,
    heard: Arc<HeardFromMaster>,
}

/// The state of the master as its log tells it.
#[derive(Default)]
struct HeardFromMaster {
    /// The number of the start, the address, and whether the cluster serves.
    now: Mutex<(u32, Option<SocketAddr>, bool)>,
    changed: Condvar,
}

/// One worker: pid and start time, which together identify one process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TorturedWorker {
    /// The life, such as `7/0/3`.
    pub(super) life: String,
    pid: i32,
    started: u64,
}

impl TorturedCluster {
    /// Starts the cluster and waits until it serves.
    pub(super) fn start(
        workspace: &Path,
        disk: Option<SmallDisk>,
        server: Option<TorturedServer>,
    ) -> Result<TorturedCluster, String> {
        // Workers whose master was killed become children of this process, so that none is left behind.
        nix::sys::prctl::set_child_subreaper(true).map_err(|errno| errno.to_string())?;
        let heard = Arc::new(HeardFromMaster::default());
        let master = launch(workspace, &heard, 1).map_err(|error| error.to_string())?;
        let cluster = TorturedCluster {
            workspace: workspace.to_owned(),
            disk,
            server,
            master: Mutex::new(master),
            heard,
        };
        cluster.wait_until_serving()?;
        Ok(cluster)
    }

    /// The small disk with the cluster's data, if there is one.
    pub(super) fn disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// The server with the cluster's databases, if they are no files.
    pub(super) fn server(&self) -> Option<&TorturedServer> {
        self.server.as_ref()
    }

    /// The address of the cluster; an address where nobody listens while the cluster does not.
    pub(super) fn address(&self) -> SocketAddr {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        lock(&self.heard.now).1.unwrap_or(nowhere)
    }

    /// The workers in the records of the running master that are alive.
    pub(super) fn workers(&self) -> Vec<TorturedWorker> {
        let text = fs::read(self.data().join("run/workers.json")).unwrap_or_default();
        let records: Vec<Value> = serde_json::from_slice(&text).unwrap_or_default();
        let process = |record: &Value| {
            let pid = i32::try_from(record["pid"].as_i64()?).ok()?;
            let started = record["started"].as_u64()?;
            let life = record["life"].as_str()?.to_owned();
            Some(TorturedWorker { life, pid, started })
        };
        records
            .iter()
            .filter_map(process)
            .filter(TorturedWorker::is_alive)
            .collect()
    }

    /// Reloads the cluster with SIGHUP.
    pub(super) fn reload(&self) {
        signal_child(&lock(&self.master), Signal::SIGHUP);
    }

    /// Kills the master (with `workers` also every worker at once), starts another master and waits until it
    /// serves.
    pub(super) fn kill_master(&self, workers: bool) -> Result<(), String> {
        let mut master = lock(&self.master);
        let doomed = if workers { self.workers() } else { Vec::new() };
        signal_child(&master, Signal::SIGKILL);
        doomed.iter().for_each(|worker| worker.signal(Signal::SIGKILL));
        drop(master.wait());
        let start = lock(&self.heard.now).0 + 1;
        *master = launch(&self.workspace, &self.heard, start).map_err(|error| error.to_string())?;
        drop(master);
        self.wait_until_serving()
    }

    /// Waits until no saga is under way, and returns what is wrong when the time is over.
    pub(super) fn rest(&self, deadline: Instant) -> Option<String> {
        loop {
            let pending = match audit::check_invariants(&self.data(), Moment::Any) {
                Ok(audit) if audit.pending == 0 => return None,
                Ok(audit) => format!("{} orders are still under way", audit.pending),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Some(format!("the cluster did not come to rest: {pending}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops the cluster with SIGTERM, and returns what is wrong when the stop fails.
    pub(super) fn stop(&self) -> Option<String> {
        let mut master = lock(&self.master);
        signal_child(&master, Signal::SIGTERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            match master.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("the master ended with {status} instead of 0")),
                Err(error) => return Some(error.to_string()),
                Ok(None) if Instant::now() >= deadline => {
                    return Some(format!("the master did not stop within {STOP_TIMEOUT:?}"));
                }
                Ok(None) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.workspace.join(workspace::DATA)
    }

    fn wait_until_serving(&self) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut now = lock(&self.heard.now);
        while !now.2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "the master did not serve within {START_TIMEOUT:?}; see {}",
                    self.workspace.join(workspace::LOG).display()
                ));
            }
            let waited = self.heard.changed.wait_timeout(now, left);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl TorturedWorker {
    fn is_alive(&self) -> bool {
        procfs::stat(self.pid).is_ok_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Signals this process, and no other that has its pid by now.
    pub(super) fn signal(&self, signal: Signal) {
        if let Ok(fd) = pidfd::open(self.pid)
            && procfs::stat(self.pid).is_ok_and(|stat| stat.started == self.started)
        {
            // The process may have died this moment, which does no harm.
            let _ = pidfd::signal(std::os::fd::AsFd::as_fd(&fd), signal);
        }
    }
}

impl Drop for TorturedCluster {
    fn drop(&mut self) {
        let mut master = lock(&self.master);
        drop(master.kill());
        drop(master.wait());
        // Workers that outlived a master are children of this process now. So is a server that a command of
        // the user's has started.
        let own = std::env::current_exe().ok();
        let is_worker = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).ok() == own;
        for pid in children().into_iter().filter(is_worker) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(Pid::from_raw(pid), None);
        }
    }
}

fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks
        .map(of_task)
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Kills a process that was not reaped yet, so that the pid is still its own.
fn signal_child(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn launch(workspace: &Path, heard: &Arc<HeardFromMaster>, start: u32) -> std::io::Result<Child> {
    *lock(&heard.now) = (start, None, false);
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg("--config")
        .arg(workspace.join(workspace::CONFIG))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let log = OpenOptions::new()
        .append(true)
        .open(workspace.join(workspace::LOG))?;
    if let Some(stderr) = child.stderr.take() {
        let heard = Arc::clone(heard);
        std::thread::spawn(move || listen(BufReader::new(stderr), log, &heard, start));
    }
    Ok(child)
}

/// Copies the log to its file until the last process that writes it has ended.
fn listen(lines: impl BufRead, mut log: File, heard: &HeardFromMaster, start: u32) {
    for line in lines.lines().map_while(Result::ok) {
        // The log is for people; the torture goes on without it.
        drop(writeln!(log, "{line}"));
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        let message = line["message"].as_str().unwrap_or_default();
        let mut now = lock(&heard.now);
        if now.0 != start {
            continue;
        }
        if message.contains("listening on") {
            now.1 = line["address"].as_str().and_then(|address| address.parse().ok());
        }
        // A worker that is killed while the others become ready delays "serving", so one ready worker is
        // enough.
        now.2 |= message.contains("serving:") || message.contains("worker ready");
        heard.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
