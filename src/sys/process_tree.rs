//! The processes that a process has started, as `/proc` knows them. What vanishes meanwhile is left out.

use std::time::Duration;

use super::procfs;

/// The most processes whose memory and CPU time are summed.
const MOST_SUMMED: usize = 1024;

/// A process and its descendants, itself first, parents before children, at most `most` of them. A descendant
/// whose parents have died is not among them any more.
#[must_use]
pub fn tree(pid: i32, most: usize) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() && found.len() < most {
        let children = procfs::children(found[next]).into_iter();
        let fresh: Vec<i32> = children.filter(|child| !found.contains(child)).collect();
        found.extend(fresh.into_iter().take(most - found.len()));
        next += 1;
    }
    found
}

/// The memory that a process and all that it has started have in RAM, in bytes; `None` when it is gone or a
/// zombie. Pages that they share are counted for each.
#[must_use]
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let own = procfs::resident_bytes(pid)?;
    let started = tree(pid, MOST_SUMMED)
        .into_iter()
        .skip(1)
        .filter_map(procfs::resident_bytes);
    Some(started.fold(own, u64::saturating_add))
}

/// The CPU time of a process and of all that it has started and that is still there; `None` when it is gone.
#[must_use]
pub fn cpu_time(pid: i32) -> Option<Duration> {
    let own = procfs::stat(pid).ok()?.cpu_time();
    let started = tree(pid, MOST_SUMMED).into_iter().skip(1);
    Some(
        started
            .filter_map(|pid| Some(procfs::stat(pid).ok()?.cpu_time()))
            .fold(own, Duration::saturating_add),
    )
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_of_children_are_found_and_no_more_than_asked_for() {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sh -c 'sleep 60 & echo $!; wait' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("a pid");
        let grandchild: i32 = line.trim().parse().expect("a pid");
        let pid = i32::try_from(shell.id()).expect("a pid");
        let found = tree(pid, 64);
        assert_eq!(
            (found.len(), found[0], found[2]),
            (3, pid, grandchild),
            "{found:?}"
        );
        assert_eq!(tree(pid, 2), found[..2]);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(grandchild), nix::sys::signal::SIGKILL)
            .expect("killed");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(found[1]), nix::sys::signal::SIGKILL)
            .expect("killed");
        shell.kill().expect("killed");
        shell.wait().expect("ended");
        assert_eq!(tree(pid, 64), [pid], "what is gone has no children");
    }
}
