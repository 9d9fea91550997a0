//! systemd's journal, if it is the log: an entry with fields for each line, over the journal's own socket
//! (systemd.io/JOURNAL_NATIVE_PROTOCOL) instead of the text that stderr would carry. Never waits.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::fstat;
use tracing::Level;

/// Where the journal takes entries.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Set by systemd: device and inode of the stream to the journal.
const STREAM: &str = "JOURNAL_STREAM";
/// Stands between the fields of an entry in a line of the log. No value has it, because control characters
/// are escaped.
pub(super) const SEPARATOR: char = '\0';

/// The journal's socket.
#[derive(Debug)]
pub(super) struct SystemdJournal {
    path: PathBuf,
    socket: UnixDatagram,
}

impl SystemdJournal {
    /// The journal, if the descriptor leads to it and its socket is there.
    pub(super) fn behind(fd: BorrowedFd) -> Option<SystemdJournal> {
        let stream = std::env::var(STREAM).ok()?;
        if !is_stream(fd, &stream) {
            return None;
        }
        SystemdJournal::at(Path::new(SOCKET)).ok()
    }

    /// The journal whose socket is at the path.
    pub(super) fn at(path: &Path) -> io::Result<SystemdJournal> {
        Ok(SystemdJournal {
            path: path.to_owned(),
            socket: connected(path)?,
        })
    }

    /// Sends the first of these lines; returns how many bytes of them that was.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let end = lines.iter().position(|&byte| byte == b'\n');
        let length = end.map_or(lines.len(), |end| end + 1);
        let mut entry = lines[..length].to_vec();
        for byte in &mut entry {
            if char::from(*byte) == SEPARATOR {
                *byte = b'\n';
            }
        }
        match self.send(&entry) {
            // The journal was started anew, with another socket at the path.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::NotConnected
                ) =>
            {
                self.socket = connected(&self.path)?;
                self.send(&entry)?;
            }
            other => other?,
        }
        Ok(length)
    }

    fn send(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        Ok(send(self.socket.as_raw_fd(), entry, flags).map(drop)?)
    }
}

impl AsFd for SystemdJournal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

/// Whether the descriptor is the stream of which `device:inode` tells.
fn is_stream(fd: BorrowedFd, told: &str) -> bool {
    let found = fstat(fd).map(|found| format!("{}:{}", found.st_dev, found.st_ino));
    found.is_ok_and(|found| found == told)
}

/// The journal's number for a level.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _debug_or_trace => 7,
    }
}

/// The name of a field in the journal, which takes capitals, digits and underscores. None is a name that the
/// journal or another program has a meaning for.
pub(super) fn field_name(name: &str) -> String {
    let allowed = |character: char| match character.to_ascii_uppercase() {
        upper @ ('A'..='Z' | '0'..='9') => upper,
        _other => '_',
    };
    let characters = name.chars().take(MAX_NAME).map(allowed);
    "CLUSTER_".chars().chain(characters).collect()
}

/// The longest name of a field in the journal is 64 characters.
const MAX_NAME: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().expect("a file");
        let found = fstat(&file).expect("open");
        let told = format!("{}:{}", found.st_dev, found.st_ino);
        assert!(is_stream(file.as_fd(), &told));
        for other in ["", "1:2", &format!("{told}0")] {
            assert!(!is_stream(file.as_fd(), other), "{other}");
        }
    }

    #[test]
    fn one_line_is_one_entry_and_a_journal_that_comes_back_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let first = UnixDatagram::bind(&path).expect("bound");
        let mut journal = SystemdJournal::at(&path).expect("there");
        let read = |socket: &UnixDatagram| {
            let mut buffer = [0; 100];
            let length = socket.recv(&mut buffer).expect("an entry");
            String::from_utf8(buffer[..length].to_vec()).expect("text")
        };
        assert_eq!(journal.write(b"A=1\0B=2\nA=3\n").expect("written"), 8);
        assert_eq!(read(&first), "A=1\nB=2\n");
        drop(first);
        std::fs::remove_file(&path).expect("removed");
        assert!(journal.write(b"A=4\n").is_err());
        let second = UnixDatagram::bind(&path).expect("bound");
        assert_eq!(journal.write(b"A=5\n").expect("written"), 4);
        assert_eq!(read(&second), "A=5\n");
    }

    #[test]
    fn names_are_those_that_the_journal_takes() {
        assert_eq!(field_name("took_ms"), "CLUSTER_TOOK_MS");
        assert_eq!(field_name("log.target-ä"), "CLUSTER_LOG_TARGET__");
        assert_eq!(field_name(&"x".repeat(100)).len(), 64);
    }
}
