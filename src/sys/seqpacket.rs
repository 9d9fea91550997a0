//! The pair of connected SOCK_SEQPACKET sockets between master and worker: packets keep their boundaries, and
//! one side notices the end of the other.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr};

/// The number of descriptors that travel with one packet; the kernel's own bound (`SCM_MAX_FD`) is 253.
pub const MAX_FDS: usize = 64;

/// Makes two connected sockets, CLOEXEC and non-blocking.
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

/// Sends one packet whole, or not at all.
///
/// # Errors
/// `WouldBlock` when the other side does not read, `BrokenPipe` when it is gone.
pub fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    Ok(nix::sys::socket::send(socket.as_raw_fd(), packet, flags).map(drop)?)
}

/// Sends one packet whole, with copies of at most [`MAX_FDS`] descriptors, or not at all.
///
/// # Errors
/// As [`send`]; also when the system allows no more descriptors on their way (`ETOOMANYREFS`).
pub fn send_with(socket: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let along = [ControlMessage::ScmRights(&numbers)];
    let parts = [IoSlice::new(packet)];
    let sent = nix::sys::socket::sendmsg::<UnixAddr>(socket.as_raw_fd(), &parts, &along, flags, None);
    Ok(sent.map(drop)?)
}

/// What was read from a socket.
#[derive(Debug, PartialEq, Eq)]
pub enum PacketRead {
    /// A packet of this many bytes.
    Packet(usize),
    /// A packet longer than the buffer: it is gone.
    TooLong,
    /// No packet is there.
    Nothing,
    /// The other side is gone.
    End,
}

/// Reads one packet. The kernel closes descriptors that were sent along, because no room is offered for them.
///
/// # Errors
/// When the system refuses, except for "nothing yet" and "the other side is gone".
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<PacketRead> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    match nix::sys::socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, None, flags) {
        Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => Ok(PacketRead::TooLong),
        Ok(message) if message.bytes == 0 => Ok(PacketRead::End),
        Ok(message) => Ok(PacketRead::Packet(message.bytes)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(PacketRead::Nothing),
        Err(Errno::ECONNRESET) => Ok(PacketRead::End),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads one packet and the descriptors that came along, CLOEXEC and owned. They are fewer than were sent
/// when this process can open no more: the kernel drops those that it cannot install. (nix hands out none of
/// them then, and those that were installed would stay open for ever; so the control message is read here.)
///
/// # Errors
/// As [`receive`].
pub fn receive_with(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(PacketRead, Vec<OwnedFd>)> {
    let mut control = [0_u64; CONTROL_WORDS];
    let (length, flags) = match receive_message(socket, buffer, &mut control) {
        Ok(received) => received,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok((PacketRead::Nothing, Vec::new())),
        Err(Errno::ECONNRESET) => return Ok((PacketRead::End, Vec::new())),
        Err(errno) => return Err(errno.into()),
    };
    let fds = descriptors(&control);
    let received = match length {
        _ if flags & libc::MSG_TRUNC != 0 => PacketRead::TooLong,
        0 => PacketRead::End,
        length => PacketRead::Packet(length),
    };
    Ok((received, fds))
}

/// Room for one control message: its header, and the numbers of [`MAX_FDS`] descriptors.
const CONTROL_WORDS: usize = HEADER_WORDS + MAX_FDS / 2;
/// Length, level and type.
const HEADER_WORDS: usize = size_of::<libc::cmsghdr>() / size_of::<u64>();
const _: () = assert!(
    size_of::<libc::cmsghdr>() == 16,
    "a length of 64 bits, a level and a type of 32"
);

#[expect(
    unsafe_code,
    reason = "nix's recvmsg keeps the descriptors of a control message that was cut"
)]
fn receive_message(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut [u64; CONTROL_WORDS],
) -> Result<(usize, i32), Errno> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a msghdr is numbers and pointers, for all of which zero is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(control);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the message points to the caller's buffers with their true lengths, which are borrowed until
    // this returns.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = Errno::result(received)?;
    Ok((usize::try_from(length).unwrap_or(0), message.msg_flags))
}

/// The descriptors in an SCM_RIGHTS message at the start of the control buffer; a zeroed buffer has none. No
/// other message comes, because no option that asks for one is set on the socket.
fn descriptors(control: &[u64; CONTROL_WORDS]) -> Vec<OwnedFd> {
    let header = HEADER_WORDS * size_of::<u64>();
    let length = usize::try_from(control[0]).unwrap_or(0);
    let [level, kind] = halves(control[1]);
    if length < header || (level, kind) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Vec::new();
    }
    let many = (length - header) / size_of::<RawFd>();
    let numbers = control[HEADER_WORDS..].iter().flat_map(|&word| halves(word));
    numbers.take(many).map(own).collect()
}

/// The two 32-bit numbers that lie in a word, in their order in memory.
fn halves(word: u64) -> [i32; 2] {
    let bytes = word.to_ne_bytes();
    [0, 4].map(|at| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

#[expect(
    unsafe_code,
    reason = "the kernel has installed descriptors whose numbers are all that recvmsg gives"
)]
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: recvmsg has just installed this descriptor for this process, and each message is taken apart
    // once.
    unsafe { OwnedFd::from_raw_fd(number) }
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
            PacketRead::Nothing
        );
        send(one.as_fd(), b"abc").expect("sent");
        send(one.as_fd(), b"much too long").expect("sent");
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            PacketRead::Packet(3)
        );
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            PacketRead::TooLong
        );
        drop(one);
        assert_eq!(
            receive(two.as_fd(), &mut buffer).expect("looked"),
            PacketRead::End
        );
    }

    #[test]
    fn descriptors_travel_along_as_many_as_there_are() {
        let (one, two) = pair().expect("a pair");
        let mut buffer = [0; 8];
        for many in [1, 2, 3, MAX_FDS] {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            let copies = vec![writer.as_fd(); many];
            send_with(one.as_fd(), b"here", &copies).expect("sent");
            drop(writer);
            let (received, fds) = receive_with(two.as_fd(), &mut buffer).expect("looked");
            assert_eq!((received, fds.len()), (PacketRead::Packet(4), many));
            for fd in fds {
                std::io::Write::write_all(&mut std::fs::File::from(fd), b".").expect("written");
            }
            let text = std::io::read_to_string(reader).expect("every writer is closed");
            assert_eq!(text.len(), many);
        }
    }

    #[test]
    fn a_packet_without_descriptors_and_the_end_are_taken_by_both() {
        let (one, two) = pair().expect("a pair");
        let mut buffer = [0; 8];
        let mut look = || receive_with(two.as_fd(), &mut buffer).expect("looked").0;
        assert_eq!(look(), PacketRead::Nothing);
        send(one.as_fd(), b"abc").expect("sent");
        assert_eq!(look(), PacketRead::Packet(3));
        send(one.as_fd(), b"much too long").expect("sent");
        assert_eq!(look(), PacketRead::TooLong);
        drop(one);
        assert_eq!(look(), PacketRead::End);
    }
}
