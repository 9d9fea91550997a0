//! Starts a worker: its descriptors and its environment.
//!
//! The contract is systemd's, so that any program can be a worker; a native worker gets additional
//! descriptors and variables.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::environment::{Passed, given, inherited, variable};
use super::executable::Executable;
use super::generation::LoadedGeneration;
use super::violations::Violations;
use super::worker_output::{self, WorkerOutput};
use super::worker_process::{WorkerFacts, WorkerProcess};
use crate::base::ids::Life;
use crate::scoreboard::{Board, BoardView};
use crate::sys::notify::NotifySocket;
use crate::sys::process::{Binary, Child, ChildSignals, Credentials, Spawn};
use crate::sys::seqpacket;

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
    group: Option<BorrowedFd<'_>>,
) -> io::Result<WorkerProcess> {
    let board_fd = Board::create_fd("cluster-scoreboard")?;
    let board = BoardView::open(board_fd.as_fd()).map_err(io::Error::other)?;
    let notify = NotifySocket::bind()?;
    let (lifeline, workers_end) = seqpacket::pair()?;
    let (stderr, workers_stderr) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let own_stderr = io::stderr();
    let log = spawner.credentials.as_ref().map(|_| log_pipe()).transpose()?;
    let output = WorkerOutput::for_program(&generation.settings)?;
    let output_file = worker_output::file_of(&generation.settings);
    let mut native = vec![
        ("CLUSTER_SCOREBOARD_FD", board_fd.as_fd()),
        ("CLUSTER_LIFELINE_FD", workers_end.as_fd()),
        ("CLUSTER_SETTINGS_FD", generation.frozen_settings()),
        match &log {
            Some((_, workers_log)) => ("CLUSTER_LOG_PIPE_FD", workers_log.as_fd()),
            None => ("CLUSTER_LOG_FD", own_stderr.as_fd()),
        },
    ];
    let ring = output
        .iter()
        .map(|output| ("CLUSTER_OUTPUT_FD", output.fd.as_fd()));
    let file = output_file
        .iter()
        .map(|file| ("CLUSTER_OUTPUT_FILE_FD", file.as_fd()));
    native.extend(ring.chain(file));
    let fds: Vec<BorrowedFd<'_>> = listeners
        .iter()
        .map(|(_, fd)| *fd)
        .chain(native.iter().map(|(_, fd)| *fd))
        .collect();
    let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
    let passed = match &spawner.credentials {
        Some(_) => Passed::Named(&generation.settings.cluster.pass_environment),
        None => Passed::All,
    };
    let mut env = inherited(passed)?;
    let keys: Vec<&str> = native.iter().map(|(key, _)| *key).collect();
    env.extend(given(life, number, notify.name(), &names, &keys)?);
    let data_dir = spawner.data_dir.as_os_str();
    env.push(variable(OsStr::new("CLUSTER_DATA_DIR"), data_dir)?);
    let null = spawner.null.as_fd();
    let Child { pid, pidfd } = crate::sys::process::spawn(&Spawn {
        binary: Binary::Open(generation.binary()),
        args: &spawner.program.arguments,
        env: &env,
        listen_pid: true,
        directory: None,
        signals: ChildSignals::Worker,
        stdio: [null, workers_stderr.as_fd(), workers_stderr.as_fd()],
        fds: &fds,
        keep: &[],
        bound: false,
        group,
        credentials: spawner.credentials.as_ref(),
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
        output,
        violations: Violations::default(),
        listener_requests: Vec::new(),
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
