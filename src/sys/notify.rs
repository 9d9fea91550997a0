//! The datagram sockets of systemd's notify protocol (`sd_notify(3)`): the one that a worker reports to, and
//! the sender towards the program that supervises this one.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, sockopt,
};

/// The longest datagram, in bytes; a longer one is dropped.
pub const MAX_DATAGRAM: usize = 4096;

/// A receiving socket with an address the kernel chose in the abstract namespace.
#[derive(Debug)]
pub struct NotifySocket {
    socket: OwnedFd,
    name: String,
}

/// What was read from the socket.
#[derive(Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A datagram with a text.
    From {
        /// The pid of the sender, as the kernel vouches.
        pid: i32,
        /// The text of the datagram.
        text: String,
    },
    /// A datagram that is too long, not UTF-8, or without credentials.
    Garbage,
    /// No datagram is there.
    Nothing,
}

impl NotifySocket {
    /// Binds a socket. SO_PASSCRED is set before any process can know the address, so that every datagram has
    /// credentials.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn bind() -> io::Result<NotifySocket> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        socket::setsockopt(&socket, sockopt::PassCred, &true)?;
        socket::bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
        NotifySocket::keep(socket)
    }

    /// Takes over a socket that was bound before exec.
    ///
    /// # Errors
    /// When `fd` is no socket with such an address.
    pub fn keep(socket: OwnedFd) -> io::Result<NotifySocket> {
        let address: UnixAddr = socket::getsockname(socket.as_raw_fd())?;
        let name = address
            .as_abstract()
            .ok_or_else(|| io::Error::other("the kernel chose no abstract address"))?;
        let name = format!("@{}", String::from_utf8_lossy(name));
        Ok(NotifySocket { socket, name })
    }

    /// The value for `NOTIFY_SOCKET`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one datagram. Descriptors that were sent along are closed.
    ///
    /// # Errors
    /// When the system refuses, except for "nothing yet".
    pub fn receive(&self) -> io::Result<Datagram> {
        let mut buffer = [0_u8; MAX_DATAGRAM];
        // There is room for credentials only: the kernel closes descriptors that do not fit.
        let mut control = nix::cmsg_space!(socket::UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            match socket::recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags)
            {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Datagram::Nothing),
                Err(errno) => return Err(errno.into()),
            };
        let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
        let (mut pid, length) = (None, message.bytes);
        for part in message.cmsgs()? {
            match part {
                ControlMessageOwned::ScmCredentials(credentials) => pid = Some(credentials.pid()),
                // If the kernel ever finds room for descriptors, they must not stay open.
                ControlMessageOwned::ScmRights(fds) => fds.into_iter().for_each(close_received),
                _ => {}
            }
        }
        let text = std::str::from_utf8(&buffer[..length]);
        Ok(match (pid, text) {
            (Some(pid), Ok(text)) if !cut => Datagram::From {
                pid,
                text: text.to_owned(),
            },
            (_, _) => Datagram::Garbage,
        })
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for NotifySocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

fn close_received(fd: std::os::fd::RawFd) {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel has just made this descriptor for this process by SCM_RIGHTS; no other code knows
    // it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Sends a text to the socket that `NOTIFY_SOCKET` names: a path, or `@` and a name of the abstract
/// namespace.
///
/// # Errors
/// When no process listens there or its queue is full. Never blocks.
pub fn send(address: &OsStr, text: &str) -> io::Result<()> {
    send_message(address, text, &[])
}

/// Sends a text with a copy of a descriptor, as [`send`] does.
///
/// # Errors
/// As [`send`]; also when the system allows no more descriptors on their way (`ETOOMANYREFS`).
pub fn send_with(address: &OsStr, text: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    send_message(address, text, &[ControlMessage::ScmRights(&[fd.as_raw_fd()])])
}

fn send_message(address: &OsStr, text: &str, along: &[ControlMessage<'_>]) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        path => UnixAddr::new(path)?,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let parts = [IoSlice::new(text.as_bytes())];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let sent = socket::sendmsg(socket.as_raw_fd(), &parts, along, flags, Some(&address));
    Ok(sent.map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_vouched_for_by_the_kernel() {
        let socket = NotifySocket::bind().expect("a socket");
        send(OsStr::new(socket.name()), "READY=1\nSTATUS=up").expect("sent");
        let pid = nix::unistd::getpid().as_raw();
        let expected = Datagram::From {
            pid,
            text: "READY=1\nSTATUS=up".to_owned(),
        };
        assert_eq!(socket.receive().expect("looked"), expected);
        assert_eq!(socket.receive().expect("looked"), Datagram::Nothing);
    }

    #[test]
    fn what_is_too_long_is_dropped() {
        let socket = NotifySocket::bind().expect("a socket");
        send(OsStr::new(socket.name()), &"x".repeat(MAX_DATAGRAM + 1)).expect("sent");
        assert_eq!(socket.receive().expect("looked"), Datagram::Garbage);
    }
}
