//! A program that runs with its workers, in a private directory. Gone when dropped, with everything below it.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::arms::{APPS, Arm, ArmSite};
use crate::server::{self, signal};
use crate::{client, tree};

/// Longer than anything here takes when it works.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often one looks for a process that comes or goes.
const LOOK: Duration = Duration::from_millis(5);

/// So long the processes of one that has stopped may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// An arm with its processes.
pub(crate) struct Running {
    arm: &'static Arm,
    root: Child,
    place: ArmSite,
    /// From nothing to the first answer.
    pub(crate) began: Duration,
    _directory: tempfile::TempDir,
}

impl Running {
    /// Starts it and waits until it answers and every worker has a program.
    pub(crate) fn start(arm: &'static Arm, workers: usize) -> Result<Running, String> {
        let directory = tempfile::tempdir_in(tree::scratch()).map_err(|error| error.to_string())?;
        let place = ArmSite {
            address: server::free_address().map_err(|error| error.to_string())?,
            workers,
            directory: directory.path().to_owned(),
        };
        let start = Instant::now();
        let command = arm.command(&place);
        let root =
            spawn(&command, &place, "log").map_err(|error| format!("{}: {error}", command[0].display()))?;
        let mut running = Running {
            arm,
            root,
            place,
            began: Duration::ZERO,
            _directory: directory,
        };
        let first = client::until(running.address(), &client::get("/"), 200, TIMEOUT / 3);
        running.began = start.elapsed();
        let whole = first.and_then(|_| running.wait_for_programs(&[]));
        whole.map_err(|reason| format!("{reason}; its last lines:\n{}", running.last_lines("log")))?;
        Ok(running)
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.place.address
    }

    /// Every process of it.
    pub(crate) fn everyone(&self) -> Vec<u32> {
        let mut everyone = tree::below(self.root.id());
        everyone.push(self.root.id());
        everyone
    }

    /// The user's programs, one for each worker.
    pub(crate) fn programs(&self) -> Vec<u32> {
        tree::programs(self.root.id(), self.arm.marker)
    }

    /// Waits until each worker has a program, and none is one of those.
    pub(crate) fn wait_for_programs(&self, gone: &[u32]) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let programs = self.programs();
            let good = programs.len() == self.place.workers && !programs.iter().any(|pid| gone.contains(pid));
            if good {
                return Ok(());
            }
            if began.elapsed() > TIMEOUT {
                return Err(format!(
                    "expected {} programs without {gone:?} within {TIMEOUT:?}, found {programs:?}",
                    self.place.workers
                ));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Until the first of those is gone; `None`: it was not, for so long.
    pub(crate) fn until_one_is_gone(&self, of: &[u32], patience: Duration) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < patience {
            let programs = self.programs();
            if !of.iter().all(|pid| programs.contains(pid)) {
                return Some(began.elapsed());
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    /// Replaces every program, as the arm's users do it, and waits until that is done.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let old = self.programs();
        match self.arm.reload(&self.place) {
            None => signal(self.root.id(), Signal::SIGHUP),
            Some(command) => {
                let mut child = spawn(&command, &self.place, "reload")
                    .map_err(|error| format!("{}: {error}", command[0].display()))?;
                let status = child.wait().map_err(|error| error.to_string())?;
                if !status.success() {
                    return Err(format!(
                        "the reload ended with {status}:\n{}",
                        self.last_lines("reload")
                    ));
                }
            }
        }
        self.wait_for_programs(&old)
    }

    fn last_lines(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.place.directory.join(file)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// In a group of its own, so that Ctrl-C in a terminal reaches this bench alone, which then ends all others.
fn spawn(command: &[std::ffi::OsString], place: &ArmSite, log: &str) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let log = File::create(place.directory.join(log))?;
    let mut process = Command::new(&command[0]);
    // What this machine's environment says to Node is not for the programs.
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("NODE_")) {
        process.env_remove(name);
    }
    process
        .args(&command[1..])
        .current_dir(APPS)
        .env("PORT", place.address.port().to_string())
        .env("WORKERS", place.workers.to_string())
        // npm, PM2 and gunicorn write there.
        .env("HOME", &place.directory)
        .env("PM2_HOME", place.directory.join("pm2"))
        .env("npm_config_update_notifier", "false")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = self.everyone();
        signal(self.root.id(), Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.root.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if matches!(self.root.try_wait(), Ok(None)) {
            eprintln!(
                "programs: {} did not stop within 10 s and is killed",
                self.arm.title
            );
            all.extend(self.everyone());
            // Both fail only for a child that is gone already.
            drop(self.root.kill());
            drop(self.root.wait());
        }
        // Those who lost their parents are children of this process now. Node's workers end when they notice.
        let until = Instant::now() + GRACE;
        while !tree::orphans(&all).is_empty() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let left = tree::orphans(&all);
        if !left.is_empty() {
            let many = left.len();
            eprintln!(
                "programs: {} left {many} processes behind, which are killed",
                self.arm.title
            );
            tree::end(&|| tree::orphans(&all));
        }
    }
}
