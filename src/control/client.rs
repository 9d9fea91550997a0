//! The side that asks: connects to a master's socket, says one line, and waits for the line that answers it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::{self, TooDeep};
use super::reply::{Answer, Reply, ReplyError};
use super::request::Request;
use crate::sys::{credentials, pidfd};

/// Connecting and being heard takes no longer: a master that is alive answers within milliseconds.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No socket can lie there.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
    /// Nobody listens.
    #[error("no master serves the run directory {dir} ({source}); name the right one with --run-dir, --data-dir or --config", dir = dir.display())]
    NoMaster {
        /// Where.
        dir: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It is somebody else's.
    #[error("the run directory {dir} cannot be entered ({source}); only the master's own user and root may", dir = dir.display())]
    Forbidden {
        /// Where.
        dir: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error(
        "the conversation with the master broke off: {0}; what was asked may or may not happen, `status` tells"
    )]
    Broken(#[source] io::Error),
    /// The master ended, or cut the conversation.
    #[error(
        "the master closed the conversation without an answer; what was asked may or may not happen, `status` tells"
    )]
    NoAnswer,
    /// It answered something else.
    #[error(transparent)]
    Odd(#[from] ReplyError),
}

/// A conversation with a master that has begun.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    master: Option<OwnedFd>,
}

impl Conversation {
    /// Connects to the master of this run directory.
    ///
    /// # Errors
    /// When there is none, or it belongs to somebody else.
    pub fn begin(run_dir: &Path) -> Result<Conversation, AskError> {
        let path = place::socket(run_dir)?;
        let dir = run_dir.to_owned();
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => AskError::Forbidden { dir, source },
            _ => AskError::NoMaster { dir, source },
        })?;
        let master = credentials::of_peer(&stream)
            .ok()
            .and_then(|peer| pidfd::open(peer.pid).ok());
        Ok(Conversation { stream, master })
    }

    /// Asks, and waits for the answer: for ever when the request waits for its end, else not for long.
    ///
    /// # Errors
    /// When the conversation breaks off or the answer is none.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, AskError> {
        self.stream
            .set_write_timeout(Some(HEARD_WITHIN))
            .map_err(AskError::Broken)?;
        // A master that refuses while it is spoken to has said why before it closed.
        let said = self.stream.write_all(&request.line());
        let patience = (!(request.wait && request.ask.ends_later())).then_some(HEARD_WITHIN);
        self.stream.set_read_timeout(patience).map_err(AskError::Broken)?;
        let mut line = Vec::new();
        let heard = BufReader::new(&self.stream).read_until(b'\n', &mut line);
        match (heard, said) {
            (Ok(1..), _) => Ok(Reply::parse(&line)?.answer),
            (Ok(0), Err(error)) | (Err(error), _) => Err(AskError::Broken(error)),
            (Ok(0), Ok(())) => Err(AskError::NoAnswer),
        }
    }

    /// Waits until the master's process is gone; whether it went within `at_most`.
    #[must_use]
    pub fn outlives_master(&self, at_most: Duration) -> bool {
        self.master
            .as_ref()
            .is_none_or(|master| pidfd::exits_within(master, at_most))
    }
}

/// One question, one answer.
///
/// # Errors
/// As [`Conversation::begin`] and [`Conversation::ask`].
pub fn ask(run_dir: &Path, request: &Request) -> Result<Answer, AskError> {
    Conversation::begin(run_dir)?.ask(request)
}
