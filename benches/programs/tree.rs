//! The processes below this one: who they are, and that none outlives the bench, whatever ends it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arms;
use crate::procfs;
use crate::server::signal;

/// Where all directories of this run lie.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("cluster-programs-{}", std::process::id()))
}

/// The processes and the files of the bench; when it is dropped, there are none.
pub(crate) struct Processes {
    _private: (),
}

impl Processes {
    /// From here on, whoever loses its parent becomes a child of this process, and Ctrl-C ends all of them.
    pub(crate) fn watch() -> Result<Processes, String> {
        prctl::set_child_subreaper(true).map_err(|error| format!("no child subreaper: {error}"))?;
        std::fs::create_dir(scratch()).map_err(|error| format!("{}: {error}", scratch().display()))?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| error.to_string())?;
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                eprintln!("programs: interrupted; every process is ended");
                end_everything();
                std::process::exit(130);
            }
        });
        Ok(Processes { _private: () })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        end_everything();
    }
}

fn end_everything() {
    end(&|| below(std::process::id()));
    if let Err(error) = std::fs::remove_dir_all(scratch()) {
        eprintln!("programs: {} was not removed: {error}", scratch().display());
    }
}

/// Kills those processes until there are none, parents first, so that nobody is replaced.
pub(crate) fn end(whom: &dyn Fn() -> Vec<u32>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let processes = whom();
        if processes.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in processes {
            signal(pid, Signal::SIGKILL);
            reap(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes the exit code of a child that nobody else waits for. Whoever is no child is reaped by its parent.
fn reap(pid: u32) {
    let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw);
    if let Ok(pid) = pid {
        let _whatever: Option<WaitStatus> = waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok();
    }
}

/// Those of these processes that live and have no parent but this one.
pub(crate) fn orphans(of: &[u32]) -> Vec<u32> {
    of.iter().copied().for_each(reap);
    let mine = below(std::process::id()).into_iter();
    mine.filter(|pid| of.contains(pid)).collect()
}

/// All processes below that one, parents first.
pub(crate) fn below(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        found.extend(procfs::children(pid).unwrap_or_default());
    }
    found.split_off(1)
}

/// The user's programs: the leaves of the tree with that in their command line, without the workers of ours
/// that have none yet, without shells that are about to start one, and without Python's bookkeeper.
pub(crate) fn programs(root: u32, marker: &str) -> Vec<u32> {
    let is_one = |pid: &u32| is_program(*pid, marker);
    let mut leaves: Vec<u32> = below(root).into_iter().filter(is_one).collect();
    leaves.sort_unstable();
    leaves
}

fn is_program(pid: u32, marker: &str) -> bool {
    let has_children = procfs::children(pid).is_ok_and(|children| !children.is_empty());
    let Ok(executable) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
        return false;
    };
    let is_shell = executable.ends_with("dash") || executable.ends_with("bash");
    let command_line = i32::try_from(pid).map(cluster::sys::procfs::command_line);
    let is_meant = command_line.is_ok_and(|line| line.contains(marker) && !line.contains("resource_tracker"));
    is_meant && !has_children && !is_shell && executable != arms::program()
}
