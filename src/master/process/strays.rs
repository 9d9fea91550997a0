//! Strays: processes that the program of a worker has started and that live on when the worker's life has
//! ended. A worker ends all of them itself; when it is killed, it cannot. Where a program is run, the master
//! inherits what is left (it is a subreaper) and kills it.
//!
//! A stray is known by the life in its environment, which processes pass on to what they start, or by the
//! session of the program. What cannot be told is left alone, as is everything of a worker that lives.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tracing::{debug, info, warn};

use crate::base::ids::Life;
use crate::config::Settings;
use crate::master::host::Host;
use crate::master::process::program_groups::ProgramGroups;
use crate::master::start::orphans::Orphan;
use crate::sys::{pidfd, procfs};

/// The variable that tells a program which life it belongs to.
const LIFE: &str = "CLUSTER_LIFE";
/// The variable that tells it which cluster.
const DATA_DIR: &str = "CLUSTER_DATA_DIR";

/// The number of sessions of ended programs that are remembered.
const MAX_SESSIONS: usize = 256;
/// Killed processes may leave others behind. So often they are looked for where nobody can wait for more.
const SWEEPS: u32 = 16;
/// How long the processes that were killed together may take to exit then.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is known of the processes that could be strays.
#[derive(Debug, Default)]
pub(in crate::master) struct Strays {
    /// Whether a program is run; otherwise nothing is looked for.
    is_watching: bool,
    /// Whether a worker or an inherited process has ended since the last sweep.
    is_due: bool,
    /// The sessions of the programs of ended workers. The kernel may give their numbers out again.
    sessions: VecDeque<(i32, Life)>,
    /// The life that has ended last.
    ended_last: Option<Life>,
    groups: ProgramGroups,
}

impl Strays {
    /// Those of a master that starts. What the last one has left behind is killed, if a program is run: it
    /// may have the addresses.
    pub(in crate::master) fn from_start(runs_program: bool, data_dir: &Path, orphans: &[Orphan]) -> Strays {
        let mut strays = Strays::default();
        strays.watch(runs_program, data_dir);
        if strays.is_watching {
            let is_alive = |life| orphans.iter().any(|orphan| orphan.record.life == life);
            strays.groups.end_all_but(is_alive);
            kill_lost(data_dir, is_alive);
        }
        strays
    }

    /// From now on this process inherits the orphans among its descendants, if a program is run.
    pub(in crate::master) fn watch(&mut self, runs_program: bool, data_dir: &Path) {
        if runs_program && !self.is_watching {
            self.groups = ProgramGroups::find(data_dir);
            match nix::sys::prctl::set_child_subreaper(true) {
                Ok(()) => self.is_watching = true,
                Err(error) => warn!("what programs leave behind cannot be found: {error}"),
            }
        }
    }

    /// A group of its own for a worker, where there are groups.
    pub(in crate::master) fn make_group(&self, life: Life) -> Option<File> {
        self.groups.make(life)
    }

    /// An inherited process has ended: its own children have come here.
    pub(in crate::master) fn process_ended(&mut self) {
        self.is_due = true;
    }

    /// A worker has ended whose program led this session.
    pub(in crate::master) fn worker_ended(&mut self, life: Life, session: Option<i32>) {
        self.is_due = true;
        self.ended_last = Some(life);
        self.sessions.extend(session.map(|session| (session, life)));
        if self.sessions.len() > MAX_SESSIONS {
            self.sessions.pop_front();
        }
    }

    fn ended_in(&self, session: i32) -> Option<Life> {
        let mut found = self.sessions.iter().rev();
        found
            .find(|(number, _)| *number == session)
            .map(|(_, life)| *life)
    }
}

/// Whether the workers run a program.
pub(in crate::master) fn runs_program(settings: &Settings) -> bool {
    settings.run.is_asked_for()
}

impl Host {
    /// Learns which sessions the programs of the workers lead, until they are known.
    pub(in crate::master) fn find_sessions(&mut self) {
        if !self.strays.is_watching {
            return;
        }
        for process in self.processes.values_mut() {
            if process.facts.program_session.is_none() {
                let leads = |pid: &i32| procfs::lineage(*pid).is_some_and(|found| found.session == *pid);
                process.facts.program_session = procfs::children(process.facts.pid).into_iter().find(leads);
            }
        }
    }

    /// Kills the strays, if something has ended since the last time.
    pub(in crate::master) fn kill_strays_if_due(&mut self) {
        if std::mem::take(&mut self.strays.is_due) && self.strays.is_watching {
            self.kill_strays();
        }
    }

    /// Kills the strays and waits until they are gone: the master ends.
    pub(in crate::master) fn kill_last_strays(&mut self) {
        if self.strays.is_watching {
            until_none_is_left(|| self.kill_strays());
        }
    }

    /// Kills what the programs of earlier masters have left behind.
    pub(in crate::master) fn kill_lost(&self) {
        if self.strays.is_watching {
            kill_lost(&self.directories.data, |life| self.is_alive(life));
        }
    }

    fn is_alive(&self, life: Life) -> bool {
        self.processes.contains_key(&life) || self.orphans.lives().any(|one| one == life)
    }

    /// Kills the strays among the children of this process; returns descriptors of them.
    fn kill_strays(&self) -> Vec<OwnedFd> {
        self.strays.groups.end_all_but(|life| self.is_alive(life));
        let own = own_pid();
        let known = |pid: i32| {
            let is_worker = self.processes.values().any(|process| process.facts.pid == pid);
            is_worker || self.is_stub(pid) || self.upgrade.is_child(pid)
        };
        let children = procfs::children(own).into_iter().filter(|pid| !known(*pid));
        let strays = children.filter_map(|pid| Some((pid, self.life_of_stray(pid)?)));
        // A child that was not reaped keeps its pid.
        kill(strays.collect(), |pid| {
            procfs::lineage(pid).is_some_and(|found| found.parent == own)
        })
    }

    /// The ended life that this process belongs to.
    fn life_of_stray(&self, pid: i32) -> Option<Life> {
        if procfs::stat(pid).is_ok_and(|stat| stat.state == 'Z') {
            return None;
        }
        if let Some(life) = life_in_environment(pid) {
            let has_ended = life.incarnation == self.incarnation && !self.processes.contains_key(&life);
            return has_ended.then_some(life);
        }
        let session = procfs::lineage(pid)?.session;
        let mut living = self.processes.values();
        if living.any(|process| process.facts.program_session == Some(session)) {
            return None;
        }
        self.strays
            .ended_in(session)
            .or_else(|| self.life_of_stranger(pid))
    }

    /// A child that says nothing of itself and that this process has not started was left behind by a worker
    /// that was killed, because the orphans of living workers go to them. Process 1 inherits those of
    /// everybody; and what was a child before this program began is no business of its own.
    fn life_of_stranger(&self, pid: i32) -> Option<Life> {
        let own = procfs::stat(own_pid()).ok()?;
        let is_younger = procfs::stat(pid).is_ok_and(|stat| stat.started > own.started);
        self.strays.ended_last.filter(|_| own_pid() != 1 && is_younger)
    }
}

/// Kills what the programs of earlier masters over this data directory have left behind. Only one master at a
/// time has the directory, so whoever has it in its environment and no living worker is a stray.
fn kill_lost(data_dir: &Path, is_alive: impl Fn(Life) -> bool) {
    let Ok(directory) = fs::metadata(data_dir) else {
        return;
    };
    let ancestors = ancestors();
    let is_here = |pid: i32| {
        data_directory(pid)
            .and_then(|path| fs::metadata(path).ok())
            .is_some_and(|found| (found.dev(), found.ino()) == (directory.dev(), directory.ino()))
    };
    let life_of_lost = |pid: i32| {
        let life = life_in_environment(pid).filter(|life| !is_alive(*life))?;
        (!ancestors.contains(&pid) && is_here(pid)).then_some((pid, life))
    };
    until_none_is_left(|| {
        let lost = procfs::pids().filter_map(life_of_lost).collect();
        kill(lost, |pid| life_of_lost(pid).is_some())
    });
}

/// The data directory in the environment of a process, as this process reaches it: the other may be in a
/// container with a directory of the same name.
fn data_directory(pid: i32) -> Option<PathBuf> {
    let path = procfs::variable(pid, DATA_DIR).ok()??;
    let path = Path::new(OsStr::from_bytes(&path)).strip_prefix("/").ok()?;
    Some(Path::new(&format!("/proc/{pid}/root")).join(path))
}

fn life_in_environment(pid: i32) -> Option<Life> {
    let text = procfs::variable(pid, LIFE).ok()??;
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// This process and those that it descends from: a program may have started the next master.
fn ancestors() -> Vec<i32> {
    let parent = |pid: &i32| {
        procfs::lineage(*pid)
            .map(|found| found.parent)
            .filter(|parent| *parent > 0)
    };
    std::iter::successors(Some(own_pid()), parent).collect()
}

/// Kills these processes, if they are still those that they were; returns descriptors of them.
fn kill(strays: Vec<(i32, Life)>, is_the_same: impl Fn(i32) -> bool) -> Vec<OwnedFd> {
    let mut killed = Vec::new();
    let mut by_life: BTreeMap<Life, Vec<String>> = BTreeMap::new();
    for (pid, life) in strays {
        let command = name_of(pid);
        let Ok(pidfd) = pidfd::open(pid) else { continue };
        if !is_the_same(pid) {
            continue;
        }
        match pidfd::signal(pidfd.as_fd(), Signal::SIGKILL) {
            Ok(()) => {
                by_life
                    .entry(life)
                    .or_default()
                    .push(format!("{pid} ({command})"));
                killed.push(pidfd);
            }
            Err(error) => debug!(%life, pid, "failed to kill a process that was left behind: {error}"),
        }
    }
    for (life, processes) in by_life {
        let shown = processes.len().min(3);
        let more = if processes.len() > shown {
            " and others"
        } else {
            ""
        };
        info!(
            %life,
            "killed {} that worker {life} and its program have left behind: {}{more}",
            number_of_processes(processes.len()),
            processes[..shown].join(", ")
        );
    }
    killed
}

/// How a person knows a process.
fn name_of(pid: i32) -> String {
    let command = procfs::command_line(pid);
    match command.is_empty() {
        // It is about to end, or has wiped its command line.
        true => procfs::name(pid).unwrap_or_else(|| "it has just ended".to_owned()),
        false => command,
    }
}

fn number_of_processes(many: usize) -> String {
    match many {
        1 => "1 process".to_owned(),
        many => format!("{many} processes"),
    }
}

/// Kills and waits, until nobody is left to be killed.
fn until_none_is_left(kill: impl Fn() -> Vec<OwnedFd>) {
    for _ in 0..SWEEPS {
        let killed = kill();
        if killed.is_empty() {
            return;
        }
        let began = Instant::now();
        for process in killed {
            // Who is still there is found again.
            let _exited = pidfd::exits_within(&process, EXIT_TIMEOUT.saturating_sub(began.elapsed()));
        }
    }
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn program(data_dir: &Path, life: &str) -> Child {
        let mut command = Command::new("sleep");
        command.arg("600").env(DATA_DIR, data_dir).env(LIFE, life);
        command.stdin(Stdio::null()).spawn().expect("started")
    }

    fn is_killed(child: &mut Child) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let pidfd = pidfd::open(i32::try_from(child.id()).expect("a pid")).expect("a child");
        if !pidfd::exits_within(&pidfd, Duration::ZERO) {
            return false;
        }
        child.wait().expect("reaped").signal() == Some(Signal::SIGKILL as i32)
    }

    #[test]
    fn what_earlier_programs_of_this_data_directory_left_is_killed_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let alias = other.path().join("alias");
        std::os::unix::fs::symlink(directory.path(), &alias).expect("linked");
        let mut lost = [program(directory.path(), "1/0/1"), program(&alias, "1/1/7")];
        let mut left_alone = [
            program(directory.path(), "2/0/1"),
            program(other.path(), "1/0/1"),
            program(directory.path(), "garbage"),
            program(Path::new("relative"), "1/0/1"),
        ];
        kill_lost(directory.path(), |life| life == Life::of(2, 0, 1));
        assert!(lost.iter_mut().all(is_killed));
        assert!(!left_alone.iter_mut().any(is_killed));
        for child in &mut left_alone {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    #[test]
    fn the_sessions_of_the_last_programs_are_remembered() {
        let mut strays = Strays::default();
        assert_eq!(strays.ended_in(7), None);
        strays.worker_ended(Life::of(1, 0, 1), Some(7));
        strays.worker_ended(Life::of(1, 1, 1), None);
        // The number was given out again.
        strays.worker_ended(Life::of(1, 0, 2), Some(7));
        assert_eq!(strays.ended_in(7), Some(Life::of(1, 0, 2)));
        for epoch in 0..1_000 {
            strays.worker_ended(Life::of(1, 0, epoch), Some(8));
        }
        assert_eq!((strays.ended_in(7), strays.sessions.len()), (None, MAX_SESSIONS));
    }
}
