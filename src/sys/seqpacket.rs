//! The pair of connected SOCK_SEQPACKET sockets between master and worker: packets keep their boundaries, and the end of one
//! side is told to the other.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr};

/// Two connected sockets, CLOEXEC and non-blocking.
///
/// # Errors
/// When the system has no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(nix::sys::socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        flags,
    )?)
}

/// Sends one packet, or nothing.
///
/// # Errors
/// `WouldBlock` when the other side does not read, `BrokenPipe` when it is gone.
pub fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    Ok(nix::sys::socket::send(socket.as_raw_fd(), packet, flags).map(drop)?)
}

/// What one look at a socket found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet of this many bytes.
    Packet(usize),
    /// A packet longer than the buffer: it is gone.
    TooLong,
    /// Nothing yet.
    Nothing,
    /// The other side is gone.
    End,
}

/// Takes one packet. Descriptors sent along are closed by the kernel, for no room is offered for them.
///
/// # Errors
/// What the system said, but for "nothing yet" and "the other side is gone".
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    match nix::sys::socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, None, flags) {
        Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => Ok(Received::TooLong),
        Ok(message) if message.bytes == 0 => Ok(Received::End),
        Ok(message) => Ok(Received::Packet(message.bytes)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(Received::Nothing),
        Err(Errno::ECONNRESET) => Ok(Received::End),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn packets_keep_their_boundaries_and_the_end_is_told() {
        let (one, two) = pair().expect("a pair");
        let mut buffer = [0; 8];
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            Received::Nothing
        );
        send(one.as_fd(), b"abc").expect("sent");
        send(one.as_fd(), b"much too long").expect("sent");
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            Received::Packet(3)
        );
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            Received::TooLong
        );
        drop(one);
        assert_eq!(receive(two.as_fd(), &mut buffer).expect("looked"), Received::End);
    }
}
