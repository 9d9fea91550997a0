//! What the kernel says of a program, without the program's help: whether it waits for connections of its
//! listeners, what it listens on by itself, whether it takes what waits in the queues, whether it gets CPU.
//!
//! The program is a process and its descendants, up to [`MOST_PROCESSES`]. What may not be looked at (the
//! process is of another user, or hidden) is unknown, and never taken for the one or the other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use crate::sys::descriptors::{self, OpenKind};
use crate::sys::process_tree::tree;
use crate::sys::procfs;
use crate::sys::tcp_table::{self, TcpSocket};
use crate::sys::thread_waits::{self, ThreadWait};

/// More processes of one program are not looked at.
pub const MOST_PROCESSES: usize = 64;
/// More descriptors of one process are counted, and not looked at.
const MOST_DESCRIPTORS: usize = 4096;

/// What is known of something that is either so or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The kernel shows that it is so.
    Shown,
    /// The kernel shows that it is not so.
    NotShown,
    /// The kernel does not let this user look.
    Unknown,
}

impl Evidence {
    /// One process that shows it is enough; one that cannot be looked at leaves it open.
    fn any(found: impl IntoIterator<Item = Evidence>) -> Evidence {
        let mut all = Evidence::NotShown;
        for one in found {
            match one {
                Evidence::Shown => return Evidence::Shown,
                Evidence::Unknown => all = Evidence::Unknown,
                Evidence::NotShown => {}
            }
        }
        all
    }

    fn of(found: std::io::Result<bool>) -> Evidence {
        match found {
            Ok(true) => Evidence::Shown,
            Ok(false) => Evidence::NotShown,
            Err(_) => Evidence::Unknown,
        }
    }
}

/// Whether the program takes connections of one of these listeners, which are named by their inodes: a thread
/// waits for one, or an epoll set watches one.
#[must_use]
pub fn accepts_from(pid: i32, listeners: &[u64]) -> Evidence {
    let processes = tree(pid, MOST_PROCESSES);
    let watched = processes.iter().map(|&pid| Evidence::of(watches(pid, listeners)));
    match Evidence::any(watched) {
        Evidence::Shown => Evidence::Shown,
        watched => Evidence::any([waits_for(pid, listeners), watched]),
    }
}

fn watches(pid: i32, listeners: &[u64]) -> std::io::Result<bool> {
    let (found, _) = descriptors::of(pid, MOST_DESCRIPTORS)?;
    let mut sets = found.iter().filter(|one| one.kind == OpenKind::Epoll);
    // A set that was closed meanwhile watches nothing.
    Ok(sets.any(|set| descriptors::watches(pid, set.fd, listeners).unwrap_or(false)))
}

/// Whether a thread of the program waits for one of these listeners at this moment.
#[must_use]
pub fn waits_for(pid: i32, listeners: &[u64]) -> Evidence {
    let is_listener =
        |pid, fd: i32| descriptors::socket_at(pid, fd).is_some_and(|inode| listeners.contains(&inode));
    let waits = |pid: i32| {
        let waits = thread_waits::of(pid)?;
        Ok(waits.iter().any(|(_, wait)| match wait {
            ThreadWait::Accept(fd) => is_listener(pid, *fd),
            ThreadWait::Epoll(fd) => descriptors::watches(pid, *fd, listeners).unwrap_or(false),
            ThreadWait::Poll(fds) => fds.iter().any(|fd| is_listener(pid, *fd)),
            ThreadWait::Other => false,
        }))
    };
    let processes = tree(pid, MOST_PROCESSES);
    Evidence::any(processes.into_iter().map(|pid| Evidence::of(waits(pid))))
}

/// Whether an event loop turns in the program: the first thread of a process waits for events of an epoll
/// set, of whatever kind.
#[must_use]
pub fn loop_turns(pid: i32) -> Evidence {
    let turns = |pid: i32| {
        let waits = thread_waits::of(pid)?;
        Ok(waits
            .iter()
            .any(|(thread, wait)| *thread == pid && matches!(wait, ThreadWait::Epoll(_))))
    };
    let processes = tree(pid, MOST_PROCESSES);
    Evidence::any(processes.into_iter().map(|pid| Evidence::of(turns(pid))))
}

/// The TCP addresses on which the program listens with sockets of its own: with others than `ours`, which are
/// named by their inodes.
#[must_use]
pub fn listens_by_itself(pid: i32, ours: &[u64]) -> Vec<SocketAddr> {
    let (sockets, _) = sockets_of(pid);
    let own = |socket: &TcpSocket| !ours.contains(&socket.inode) && sockets.contains(&socket.inode);
    let mut found = tcp_table::listening(pid, own).unwrap_or_default();
    found.sort_by_key(|socket| socket.local);
    found.dedup_by_key(|socket| socket.local);
    found.into_iter().map(|socket| socket.local).collect()
}

/// Whether a process of the program was started with the inspector of Node (`--inspect`), which listens by
/// itself for debuggers.
#[must_use]
pub fn is_inspected(pid: i32) -> bool {
    let mut processes = tree(pid, MOST_PROCESSES).into_iter();
    processes.any(|pid| {
        let command = procfs::command_line(pid);
        command
            .split_whitespace()
            .any(|word| word.starts_with("--inspect"))
    })
}

/// The inodes of the program's sockets, and whether a process could not be looked at.
fn sockets_of(pid: i32) -> (Vec<u64>, bool) {
    let mut sockets = Vec::new();
    let mut hidden = false;
    for pid in tree(pid, MOST_PROCESSES) {
        let Ok((found, count)) = descriptors::of(pid, MOST_DESCRIPTORS) else {
            hidden = true;
            continue;
        };
        hidden |= count > MOST_DESCRIPTORS;
        sockets.extend(found.iter().filter_map(|one| match one.kind {
            OpenKind::Socket(inode) => Some(inode),
            OpenKind::Epoll => None,
        }));
    }
    (sockets, hidden)
}

/// Who has taken a connection from the queue of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// It waits in the queue still.
    Nobody,
    /// The program.
    Program,
    /// A process that is none of the program's.
    Another,
    /// That may not be looked at, or the connection is over.
    Unknown,
}

/// Who has taken the connection of this client from the listener at this address.
#[must_use]
pub fn taken_by(pid: i32, listener: SocketAddr, client: SocketAddr) -> TakenBy {
    let server = |socket: &TcpSocket| socket.local == listener && socket.remote == client;
    let Ok(found) = tcp_table::of(pid, server) else {
        return TakenBy::Unknown;
    };
    let Some(server) = found.first() else {
        return TakenBy::Unknown;
    };
    if server.inode == 0 {
        return if server.is_established() {
            TakenBy::Nobody
        } else {
            TakenBy::Unknown
        };
    }
    match sockets_of(pid) {
        (sockets, _) if sockets.contains(&server.inode) => TakenBy::Program,
        (_, true) => TakenBy::Unknown,
        (_, false) => TakenBy::Another,
    }
}

/// The sockets that a program has, to be compared with those it has later: a program that accepts, connects
/// or closes has others. The number of a socket's inode does not come again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketsSeen {
    fingerprint: u64,
}

impl SocketsSeen {
    /// Those it has now; `None` when a process of it may not be looked at.
    #[must_use]
    pub fn of(pid: i32) -> Option<SocketsSeen> {
        let mut hasher = DefaultHasher::new();
        for pid in tree(pid, MOST_PROCESSES) {
            let (found, count) = descriptors::of(pid, MOST_DESCRIPTORS).ok()?;
            (pid, found, count).hash(&mut hasher);
        }
        Some(SocketsSeen {
            fingerprint: hasher.finish(),
        })
    }
}

/// What a program has had of the CPU, to be compared with a later look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSeen {
    ticks: u64,
    /// Whether a thread wants to run.
    runnable: bool,
}

impl CpuSeen {
    /// What it has had until now.
    #[must_use]
    pub fn of(pid: i32) -> CpuSeen {
        let mut seen = CpuSeen {
            ticks: 0,
            runnable: false,
        };
        for pid in tree(pid, MOST_PROCESSES) {
            let Ok(stat) = procfs::stat(pid) else {
                continue;
            };
            seen.ticks += stat.cpu_ticks;
            seen.runnable |= stat.state == 'R' || procfs::thread_states(pid).contains(&'R');
        }
        seen
    }

    /// Whether the program wanted CPU and got none since an earlier look. The waiting time of `schedstat` is
    /// of no use for that: it does not advance while a task waits.
    #[must_use]
    pub fn starved_since(&self, before: &CpuSeen) -> bool {
        self.runnable && self.ticks <= before.ticks
    }
}

/// Whether a process is stopped, as SIGSTOP does. One that is being traced is not counted: a debugger stops
/// it for moments, and answers for it.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    procfs::stat(pid).is_ok_and(|stat| stat.state == 'T')
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
