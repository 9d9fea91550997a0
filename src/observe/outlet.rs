//! A descriptor that log lines go to, written without ever waiting. It must not know lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use super::systemd_journal::SystemdJournal;
use crate::sys::signals::Blocked;

/// A pipe that polls writable takes at least this much without blocking (PIPE_BUF).
const SURE: usize = 4096;

/// A descriptor, and the way to write to it without waiting.
#[derive(Debug)]
pub(super) struct Outlet {
    way: WriteWay,
    is_terminal: bool,
}

/// How to write without waiting.
#[derive(Debug)]
enum WriteWay {
    /// A pipe or terminal through a file description of this process's own with O_NONBLOCK. It is opened
    /// anew, because the flag on the inherited description would change it for every holder, the user's shell
    /// among them.
    NonBlocking(File),
    /// A pipe or terminal that could not be opened anew (another user's): polled before each write.
    Polled(File),
    /// A socket (the stream to systemd's journal): each write is told not to wait.
    Socket(OwnedFd),
    /// The socket of systemd's journal for entries with fields.
    SystemdJournal(SystemdJournal),
    /// A file or `/dev/null`: never waits.
    Plain(File),
}

impl Outlet {
    /// Duplicates the descriptor, and finds the way to write to it.
    pub(super) fn open(fd: BorrowedFd) -> io::Result<Outlet> {
        let own = fd.try_clone_to_owned()?;
        let is_terminal = own.is_terminal();
        let kind = SFlag::from_bits_truncate(fstat(&own)?.st_mode) & SFlag::S_IFMT;
        let way = match kind {
            SFlag::S_IFSOCK => WriteWay::Socket(own),
            SFlag::S_IFIFO => WriteWay::open_waiting(own),
            _ if is_terminal => WriteWay::open_waiting(own),
            _ => WriteWay::Plain(File::from(own)),
        };
        Ok(Outlet { way, is_terminal })
    }

    /// Writes entries to systemd's journal.
    pub(super) fn journal(journal: SystemdJournal) -> Outlet {
        Outlet {
            way: WriteWay::SystemdJournal(journal),
            is_terminal: false,
        }
    }

    /// Whether the descriptor is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes as many bytes as are taken at once; 0 when none are.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A terminal with `stty tostop` answers a write from the background with SIGTTOU, over and over where
        // that signal has a handler, and stops the process where it has none. It takes the write of a thread
        // that blocks the signal.
        let _blocked = self
            .is_terminal
            .then(|| Blocked::one(Signal::SIGTTOU))
            .transpose()?;
        match self.way.write(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            other => other,
        }
    }

    /// Waits until the descriptor takes more bytes or is broken, at most this long.
    pub(super) fn wait(&self, at_most: Duration) {
        takes_more(self.way.descriptor(), at_most);
    }
}

impl WriteWay {
    fn open_waiting(own: OwnedFd) -> WriteWay {
        if is_nonblocking(&own) {
            return WriteWay::NonBlocking(File::from(own));
        }
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let path = format!("/proc/self/fd/{}", own.as_raw_fd());
        match OpenOptions::new()
            .append(true)
            .custom_flags(flags.bits())
            .open(path)
        {
            Ok(file) => WriteWay::NonBlocking(file),
            Err(_) => WriteWay::Polled(File::from(own)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            WriteWay::NonBlocking(file) | WriteWay::Plain(file) => file.write(bytes),
            WriteWay::Socket(socket) => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                send(socket.as_raw_fd(), bytes, flags).map_err(io::Error::from)
            }
            WriteWay::SystemdJournal(journal) => journal.write(bytes),
            WriteWay::Polled(file) if takes_more(file.as_fd(), Duration::ZERO) => {
                file.write(&bytes[..bytes.len().min(SURE)])
            }
            WriteWay::Polled(_) => Ok(0),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            WriteWay::NonBlocking(file) | WriteWay::Polled(file) | WriteWay::Plain(file) => file.as_fd(),
            WriteWay::Socket(socket) => socket.as_fd(),
            WriteWay::SystemdJournal(journal) => journal.as_fd(),
        }
    }
}

fn is_nonblocking(fd: &OwnedFd) -> bool {
    fcntl(fd, FcntlArg::F_GETFL).is_ok_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK))
}

fn takes_more(fd: BorrowedFd, within: Duration) -> bool {
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    let mut polled = [PollFd::new(fd, PollFlags::POLLOUT)];
    poll(&mut polled, timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use nix::unistd::pipe;

    use super::*;

    fn fill(outlet: &mut Outlet) -> usize {
        let mut total = 0;
        loop {
            match outlet.write(&[b'x'; 1000]).expect("writable") {
                0 => return total,
                more => total += more,
            }
        }
    }

    #[test]
    fn a_full_pipe_takes_nothing_and_does_not_wait() {
        let (mut reader, writer) = pipe().map(|(r, w)| (File::from(r), w)).expect("a pipe");
        let mut outlet = Outlet::open(writer.as_fd()).expect("an outlet");
        assert!(matches!(outlet.way, WriteWay::NonBlocking(_)));
        assert!(fill(&mut outlet) > 0);
        assert!(
            !is_nonblocking(&writer),
            "the flag that others share is untouched"
        );
        reader.read_exact(&mut [0; 8192]).expect("readable");
        assert!(fill(&mut outlet) > 0, "there is room again");
    }

    #[test]
    fn a_full_pipe_that_must_be_asked_does_not_block_either() {
        let (_reader, writer) = pipe().expect("a pipe");
        let way = WriteWay::Polled(File::from(writer));
        let is_terminal = false;
        assert!(fill(&mut Outlet { way, is_terminal }) > 0);
    }

    #[test]
    fn a_full_socket_does_not_block_either() {
        let (_reader, writer) = UnixStream::pair().expect("a pair");
        let mut outlet = Outlet::open(writer.as_fd()).expect("an outlet");
        assert!(matches!(outlet.way, WriteWay::Socket(_)));
        assert!(fill(&mut outlet) > 0);
    }

    #[test]
    fn a_broken_pipe_is_an_error() {
        let (reader, writer) = pipe().expect("a pipe");
        let mut outlet = Outlet::open(writer.as_fd()).expect("an outlet");
        drop(reader);
        assert!(outlet.write(b"x").is_err());
    }
}
