//! The client of the control socket: it connects to a master, sends one line, and waits for the line that
//! answers.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reply::{ControlAnswer, ControlReply, ReplyError};
use super::request::ControlRequest;
use super::socket_path::{SocketPathTooLong, control_socket};
use crate::sys::{credentials, pidfd, procfs};

/// Longest wait for one read or write; a master that runs answers within milliseconds.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection to the control socket met.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no control socket in it".to_owned(),
        io::ErrorKind::ConnectionRefused => "its master has ended".to_owned(),
        _ => error.to_string(),
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The path of the control socket is too long.
    #[error(transparent)]
    SocketPathTooLong(#[from] SocketPathTooLong),
    /// No master listens on the control socket.
    #[error("no master serves the run directory {dir} ({what}); name the right one with --run-dir, \
        --data-dir or --config", dir = dir.display(), what = in_words(.source))]
    NoMaster {
        /// The run directory that was searched.
        dir: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The run directory belongs to another user.
    #[error("the run directory {dir} cannot be entered ({source}); only the master's own user and root \
        may", dir = dir.display())]
    Forbidden {
        /// The run directory that was searched.
        dir: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The master is stopped and answers nobody.
    #[error("the master (pid {0}) is stopped (SIGSTOP) and answers nobody: `kill -CONT {0}` lets it go on")]
    Stopped(i32),
    /// The connection failed.
    #[error(
        "the connection to the master failed: {0}; the command may or may not have been carried out, \
         `status` tells"
    )]
    Broken(#[source] io::Error),
    /// The master ended, or closed the connection.
    #[error(
        "the master closed the connection without an answer; the command may or may not have been carried \
         out, `status` tells"
    )]
    NoAnswer,
    /// The answer cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReplyError),
}

/// An open connection to a master.
#[derive(Debug)]
pub struct ControlConnection {
    stream: UnixStream,
    master: Option<OwnedFd>,
}

impl ControlConnection {
    /// Connects to the master of this run directory.
    ///
    /// # Errors
    /// When no master runs there, or it belongs to another user.
    pub fn open(run_dir: &Path) -> Result<ControlConnection, AskError> {
        let path = control_socket(run_dir)?;
        let dir = run_dir.to_owned();
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => AskError::Forbidden { dir, source },
            _ => AskError::NoMaster { dir, source },
        })?;
        let pid = credentials::of_peer(&stream).ok().map(|peer| peer.pid);
        let is_stopped = |pid: &i32| procfs::stat(*pid).is_ok_and(|stat| stat.state == 'T');
        if let Some(pid) = pid.filter(is_stopped) {
            return Err(AskError::Stopped(pid));
        }
        let master = pid.and_then(|pid| pidfd::open(pid).ok());
        Ok(ControlConnection { stream, master })
    }

    /// Sends the request and waits for its answer: without a limit when the request waits for the end of a
    /// long command, else for at most ten seconds.
    ///
    /// # Errors
    /// When the connection fails or the answer cannot be read.
    pub fn ask(&mut self, request: &ControlRequest) -> Result<ControlAnswer, AskError> {
        self.stream
            .set_write_timeout(Some(IO_TIMEOUT))
            .map_err(AskError::Broken)?;
        // A master may refuse and close before it has read everything; its answer can still be read.
        let sent = self.stream.write_all(&request.line());
        let timeout = (!(request.wait && request.command.ends_later())).then_some(IO_TIMEOUT);
        self.stream.set_read_timeout(timeout).map_err(AskError::Broken)?;
        let mut line = Vec::new();
        let read = BufReader::new(&self.stream).read_until(b'\n', &mut line);
        match (read, sent) {
            (Ok(1..), _) => Ok(ControlReply::parse(&line)?.answer),
            (Ok(0), Err(error)) | (Err(error), _) => Err(AskError::Broken(error)),
            (Ok(0), Ok(())) => Err(AskError::NoAnswer),
        }
    }

    /// Waits until the master's process has exited; returns whether it did within `at_most`.
    #[must_use]
    pub fn wait_for_master_exit(&self, at_most: Duration) -> bool {
        self.master
            .as_ref()
            .is_none_or(|master| pidfd::exits_within(master, at_most))
    }
}

/// Connects, sends one request and returns its answer.
///
/// # Errors
/// As [`ControlConnection::open`] and [`ControlConnection::ask`].
pub fn ask(run_dir: &Path, request: &ControlRequest) -> Result<ControlAnswer, AskError> {
    ControlConnection::open(run_dir)?.ask(request)
}
