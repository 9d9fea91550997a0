//! How a worker is started: what it inherits, and what it is told about itself.
//!
//! The contract is systemd's, so that any program can be a worker, with a native worker's additions beside it.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::generation::{Generation, Program};
use super::violations::Oddities;
use super::worker_process::{Process, Tail};
use crate::base::ids::Life;
use crate::scoreboard::{Board, BoardView};
use crate::sys::notify::NotifySocket;
use crate::sys::process::{Child, Credentials, FIRST_FD, Spawn};
use crate::sys::{clock, procfs, seqpacket};

/// What the master was told by whoever supervises it, which is not a worker's business.
const OWN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// Everything that is the same for each worker of one master.
#[derive(Debug)]
pub(in crate::master) struct Nursery {
    pub(in crate::master) program: Program,
    pub(in crate::master) credentials: Option<Credentials>,
    /// What a worker finds as descriptor 0.
    pub(in crate::master) null: OwnedFd,
}

/// Starts a worker.
///
/// # Errors
/// The system's words, with what was being made.
pub(in crate::master) fn spawn(
    nursery: &Nursery,
    life: Life,
    number: crate::base::ids::Generation,
    generation: &Generation,
    listeners: &[(String, BorrowedFd<'_>)],
) -> io::Result<Process> {
    let board_fd = Board::create_fd("cluster-scoreboard")?;
    let board = BoardView::open(board_fd.as_fd()).map_err(io::Error::other)?;
    let notify = NotifySocket::bind()?;
    let (lifeline, workers_end) = seqpacket::pair()?;
    let (stderr, workers_stderr) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(
        &stderr,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    let own_stderr = io::stderr();
    let native = [
        ("CLUSTER_SCOREBOARD_FD", board_fd.as_fd()),
        ("CLUSTER_LIFELINE_FD", workers_end.as_fd()),
        ("CLUSTER_SETTINGS_FD", generation.frozen_settings()),
        ("CLUSTER_LOG_FD", own_stderr.as_fd()),
    ];
    let fds: Vec<BorrowedFd<'_>> = listeners
        .iter()
        .map(|(_, fd)| *fd)
        .chain(native.map(|(_, fd)| fd))
        .collect();
    let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
    let env = environment(life, number, notify.name(), &names, &native.map(|(key, _)| key))?;
    let Child { pid, pidfd } = crate::sys::process::spawn(&Spawn {
        binary: generation.binary(),
        args: &nursery.program.arguments,
        env: &env,
        stdio: [
            nursery.null.as_fd(),
            workers_stderr.as_fd(),
            workers_stderr.as_fd(),
        ],
        fds: &fds,
        keep: &[],
        bound: false,
        credentials: nursery.credentials,
    })?;
    let born = clock::now();
    let started = procfs::stat(pid).map_or(0, |stat| stat.started);
    let (lifeline, stderr, tail, looked) = (Some(lifeline), Some(stderr.into()), Tail::default(), None);
    Ok(Process {
        life,
        pid,
        started,
        born,
        pidfd,
        notify,
        lifeline,
        stderr,
        tail,
        board,
        board_fd,
        looked,
        generation: number,
        leaving: false,
        weighed: None,
        at_kill: None,
        figures_wanted: None,
        oddities: Oddities::default(),
    })
}

fn environment(
    life: Life,
    generation: crate::base::ids::Generation,
    notify: &str,
    listeners: &[&str],
    native: &[&str],
) -> io::Result<Vec<CString>> {
    let inherited = std::env::vars_os().filter(|(key, _)| !is_replaced(key));
    let mut variables: Vec<CString> = inherited
        .map(|(key, value)| variable(&key, &value))
        .collect::<io::Result<_>>()?;
    let mut set = |key: &str, value: String| -> io::Result<()> {
        variables.push(variable(OsStr::new(key), OsStr::new(&value))?);
        Ok(())
    };
    set("LISTEN_FDS", listeners.len().to_string())?;
    set("LISTEN_FDNAMES", listeners.join(":"))?;
    set("NOTIFY_SOCKET", notify.to_owned())?;
    set("CLUSTER_WORKER", "1".to_owned())?;
    set("CLUSTER_INCARNATION", life.incarnation.to_string())?;
    set("CLUSTER_SLOT", life.slot.to_string())?;
    set("CLUSTER_EPOCH", life.epoch.to_string())?;
    set("CLUSTER_GENERATION", generation.to_string())?;
    for (place, key) in native.iter().enumerate() {
        set(
            key,
            (usize::try_from(FIRST_FD).unwrap_or(3) + listeners.len() + place).to_string(),
        )?;
    }
    Ok(variables)
}

fn is_replaced(key: &OsStr) -> bool {
    OWN.iter().any(|own| key == *own) || key.as_bytes().starts_with(b"CLUSTER_")
}

fn variable(key: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = OsString::from(key);
    text.push("=");
    text.push(value);
    CString::new(text.as_bytes()).map_err(io::Error::other)
}
