//! A running cluster from its start to its end, and its files. What is asked of it over HTTP and what its
//! workers do is told beside.

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Instant;

use cluster::sys::procfs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::TIMEOUT;
use super::log::Log;

/// A running cluster. Dropping it kills the master and every worker it ever told of.
pub struct Cluster {
    pub(super) child: Child,
    pub(super) log: Log,
    pub(super) directory: Arc<tempfile::TempDir>,
    pub(super) config: PathBuf,
}

impl Cluster {
    /// The master's pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Keeps the private directory for as long as the caller has this.
    pub fn keep(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// Replaces the configuration file.
    pub fn rewrite_config(&self, text: &str) {
        std::fs::write(&self.config, text).expect("written");
    }

    /// What the configuration file holds.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("readable")
    }

    /// Sends the master a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the master lives");
    }
    /// A place in the log to wait from.
    pub fn mark(&self) -> usize {
        self.log.lines.0.lock().expect("a lock").len()
    }

    /// The first line, from the beginning of the log, whose message contains this.
    pub fn wait_for(&self, text: &str) -> Value {
        self.wait_from(0, text)
    }

    /// The same, from a place on.
    pub fn wait_from(&self, from: usize, text: &str) -> Value {
        self.wait_until(from, text, |line| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        })
    }

    /// The first line from a place on that this is true of.
    pub fn wait_until(&self, from: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.log.wait(from, what, is_it)
    }

    /// Waits until so many lines from a place on contain this.
    pub fn wait_for_many(&self, from: usize, text: &str, many: usize) {
        let seen = std::cell::Cell::new(0);
        self.wait_until(from, text, |line| {
            let hit = line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text));
            seen.set(seen.get() + usize::from(hit));
            seen.get() == many
        });
    }

    /// How many lines from a place on contain this.
    pub fn count_from(&self, from: usize, text: &str) -> usize {
        let lines = self.log.lines.0.lock().expect("a lock");
        lines[from..]
            .iter()
            .filter(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(text))
            })
            .count()
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lines.0.lock().expect("a lock").clone()
    }

    /// Waits for the master to end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        let pidfd = nix::poll::PollTimeout::try_from(TIMEOUT).expect("short");
        let fd = cluster::sys::pidfd::open(self.pid());
        if let Ok(fd) = fd {
            let mut fds = [nix::poll::PollFd::new(
                std::os::fd::AsFd::as_fd(&fd),
                nix::poll::PollFlags::POLLIN,
            )];
            nix::poll::poll(&mut fds, pidfd).expect("polled");
        }
        assert!(
            Instant::now() < deadline,
            "the master did not end; its log:\n{}",
            self.log.text()
        );
        self.child.wait().expect("waited")
    }

    /// Waits for the master to end, and until everything that it and its workers said has been read.
    pub fn wait_to_the_last_word(&mut self) -> ExitStatus {
        let status = self.wait();
        self.log
            .wait(0, "the end of the log", |line| line.get("end of log").is_some());
        status
    }

    /// SIGTERM, and the exit.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Kills what programs have started: with master and workers dead, nobody else does.
    fn kill_programs(&self) {
        let data = self.data();
        let data = data.to_str().expect("text");
        let is_ours = |pid: &i32| {
            let found = procfs::variable(*pid, "CLUSTER_DATA_DIR");
            found.is_ok_and(|found| found.as_deref() == Some(data.as_bytes()))
        };
        let deadline = Instant::now() + TIMEOUT;
        let living = || procfs::pids().filter(is_ours).collect::<Vec<i32>>();
        let mut programs = living();
        // One that forks at this moment is found in the next round.
        while !programs.is_empty() && Instant::now() < deadline {
            for pid in programs {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            programs = living();
        }
    }

    /// Kills the master alone, as the kernel's OOM killer would.
    pub fn kill_master(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let workers: Vec<i32> = self.workers().into_values().flatten().collect();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for line in self.log() {
            if std::thread::panicking() {
                eprintln!("{line}");
            }
        }
        for pid in workers {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.kill_programs();
    }
}
