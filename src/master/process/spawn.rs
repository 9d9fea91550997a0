//! Starts a worker: its descriptors and its environment.
//!
//! The contract is systemd's, so that any program can be a worker; a native worker gets additional
//! descriptors and variables.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::executable::Executable;
use super::generation::LoadedGeneration;
use super::violations::Violations;
use super::worker_process::{WorkerFacts, WorkerProcess};
use crate::base::ids::Life;
use crate::scoreboard::{Board, BoardView};
use crate::sys::notify::NotifySocket;
use crate::sys::process::{Child, Credentials, FIRST_FD, Spawn};
use crate::sys::seqpacket;

/// Variables that the master's own supervisor set for the master and that are not passed on to workers.
const MASTERS_OWN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// What is the same for every worker of one master.
#[derive(Debug)]
pub(in crate::master) struct Spawner {
    pub(in crate::master) program: Executable,
    pub(in crate::master) credentials: Option<Credentials>,
    /// The data directory, absolute: the working directory may be deleted while the cluster serves.
    pub(in crate::master) data_dir: PathBuf,
    /// `/dev/null`, which becomes the stdin of a worker.
    pub(in crate::master) null: OwnedFd,
}

/// Starts a worker.
///
/// # Errors
/// The error of the operating system.
pub(in crate::master) fn spawn(
    spawner: &Spawner,
    life: Life,
    number: crate::base::ids::Generation,
    generation: &LoadedGeneration,
    listeners: &[(String, BorrowedFd<'_>)],
) -> io::Result<WorkerProcess> {
    let board_fd = Board::create_fd("cluster-scoreboard")?;
    let board = BoardView::open(board_fd.as_fd()).map_err(io::Error::other)?;
    let notify = NotifySocket::bind()?;
    let (lifeline, workers_end) = seqpacket::pair()?;
    let (stderr, workers_stderr) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let own_stderr = io::stderr();
    let log = spawner.credentials.map(|_| log_pipe()).transpose()?;
    let native = [
        ("CLUSTER_SCOREBOARD_FD", board_fd.as_fd()),
        ("CLUSTER_LIFELINE_FD", workers_end.as_fd()),
        ("CLUSTER_SETTINGS_FD", generation.frozen_settings()),
        match &log {
            Some((_, workers_log)) => ("CLUSTER_LOG_PIPE_FD", workers_log.as_fd()),
            None => ("CLUSTER_LOG_FD", own_stderr.as_fd()),
        },
    ];
    let fds: Vec<BorrowedFd<'_>> = listeners
        .iter()
        .map(|(_, fd)| *fd)
        .chain(native.map(|(_, fd)| fd))
        .collect();
    let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
    let mut env = environment(life, number, notify.name(), &names, &native.map(|(key, _)| key))?;
    env.push(variable(
        OsStr::new("CLUSTER_DATA_DIR"),
        spawner.data_dir.as_os_str(),
    )?);
    let Child { pid, pidfd } = crate::sys::process::spawn(&Spawn {
        binary: generation.binary(),
        args: &spawner.program.arguments,
        env: &env,
        stdio: [
            spawner.null.as_fd(),
            workers_stderr.as_fd(),
            workers_stderr.as_fd(),
        ],
        fds: &fds,
        keep: &[],
        bound: false,
        credentials: spawner.credentials,
    })?;
    Ok(WorkerProcess {
        facts: WorkerFacts::new(life, number, pid),
        pidfd,
        notify,
        lifeline: Some(lifeline),
        stderr: Some(stderr.into()),
        log: log.map(|(reader, _)| reader.into()),
        board,
        board_fd,
        violations: Violations::default(),
    })
}

/// The pipe for the log lines of a worker that is another user. The master's own stderr is not for such a
/// worker: it could empty the log file, or type into the terminal. A worker of the master's own user could do
/// both anyway, so it writes to the master's stderr itself, which costs the master nothing and still works
/// when the master hangs or is dead.
///
/// Neither end waits for the other.
fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?)
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
    MASTERS_OWN.iter().any(|own| key == *own) || key.as_bytes().starts_with(b"CLUSTER_")
}

fn variable(key: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = OsString::from(key);
    text.push("=");
    text.push(value);
    CString::new(text.as_bytes()).map_err(io::Error::other)
}
