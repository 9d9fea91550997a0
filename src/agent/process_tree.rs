//! The processes of a program: the one that was started, what it has started in turn, and what they left
//! behind. This process is their subreaper: whoever loses its parent becomes its child, so nobody escapes.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpgid};
use signal_hook::consts::signal::SIGCHLD;
use tokio::io::AsyncReadExt;

use crate::sys::process::Child;
use crate::sys::{pidfd, procfs};

/// The most processes that are killed in one go; a program that forks faster is killed in the next.
const MAX_KILLED: usize = 4096;

/// The processes of one program.
#[derive(Debug)]
pub(super) struct ProcessTree {
    main: i32,
    /// How the process that was started ended, once it has.
    ended: Option<WaitStatus>,
    deaths: tokio::net::UnixStream,
}

/// Hears of the end of children; to be made before the first one is started.
#[derive(Debug)]
pub(super) struct Deaths {
    pipe: UnixStream,
}

impl Deaths {
    /// From now on this process inherits the orphans of its children.
    pub(super) fn hear() -> io::Result<Deaths> {
        nix::sys::prctl::set_child_subreaper(true)?;
        let (pipe, sender) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGCHLD, sender)?;
        pipe.set_nonblocking(true)?;
        Ok(Deaths { pipe })
    }
}

impl ProcessTree {
    /// The tree of a child that was just started. To be called inside the runtime.
    pub(super) fn new(child: &Child, deaths: Deaths) -> io::Result<ProcessTree> {
        let mut tree = ProcessTree {
            main: child.pid,
            ended: None,
            deaths: tokio::net::UnixStream::from_std(deaths.pipe)?,
        };
        // It may have ended before anybody listened.
        tree.reap();
        Ok(tree)
    }

    /// The pid of the process that was started, which leads its session.
    pub(super) fn main(&self) -> i32 {
        self.main
    }

    /// How the process that was started ended; `None` while it lives.
    pub(super) fn ended(&self) -> Option<WaitStatus> {
        self.ended
    }

    /// Returns after a child has ended. Dropping the future loses nothing.
    pub(super) async fn changed(&mut self) {
        let mut bytes = [0; 64];
        match self.deaths.read(&mut bytes).await {
            Ok(length) if length > 0 => {}
            // The sender lives as long as this process.
            Ok(_) | Err(_) => std::future::pending().await,
        }
        self.reap();
    }

    fn reap(&mut self) {
        while let Some(pid) = pidfd::any_exited_child() {
            match pidfd::reap(pid) {
                Ok(Some(reaped)) if pid == self.main => self.ended = Some(reaped.status),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, pid, "an ended child cannot be reaped");
                    return;
                }
            }
        }
    }

    /// Whether the program has ended: the process that was started, and all in its session. A process that
    /// has gone to a session of its own is not waited for.
    pub(super) fn has_ended(&self) -> bool {
        let is_in_session =
            |pid: i32| procfs::lineage(pid).is_some_and(|lineage| lineage.session == self.main);
        self.ended.is_some() && !procfs::children(own_pid()).into_iter().any(is_in_session)
    }

    /// Whether nobody is left of the program.
    fn is_empty(&self) -> bool {
        self.ended.is_some() && procfs::children(own_pid()).is_empty()
    }

    /// Sends a signal to all processes of the group, and to the main process when it has left the group.
    /// Nothing happens once the main process has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if self.ended.is_some() {
            return;
        }
        // It was not reaped, so neither its pid nor the group of that number is somebody else's.
        let main = Pid::from_raw(self.main);
        let has_left = getpgid(Some(main)).is_ok_and(|group| group != main);
        let sent = killpg(main, signal);
        if has_left || sent == Err(Errno::ESRCH) {
            let _gone = kill(main, signal);
        }
    }

    /// Kills every process of the program, and waits until none is left, at most for this long. Returns
    /// whether none is left.
    pub(super) async fn kill(&mut self, at_most: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + at_most;
        loop {
            self.signal(Signal::SIGKILL);
            // Children that were not reaped: their pids are theirs.
            for pid in procfs::children(own_pid()).into_iter().take(MAX_KILLED) {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if self.is_empty() {
                return true;
            }
            // Grandchildren come here when their parents have died.
            if tokio::time::timeout_at(deadline, self.changed()).await.is_err() {
                return false;
            }
        }
    }
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}
