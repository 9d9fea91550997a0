//! The kind of an open descriptor, as the kernel knows it. It must not know which kind is wanted.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};
use nix::sys::stat::{SFlag, fstat};

/// A kind of descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorKind {
    /// A TCP or unix socket that listens.
    Listener,
    /// A connected unix stream socket.
    Stream,
    /// A unix datagram socket.
    Datagram,
    /// A unix socket that keeps the boundaries of packets.
    Packets,
    /// One end of a pipe.
    Pipe,
    /// A regular file, a memory file among them.
    File,
    /// A process.
    Process,
    /// Anything else.
    Other,
}

impl fmt::Display for DescriptorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DescriptorKind::Listener => "a socket that listens",
            DescriptorKind::Stream => "a unix stream socket",
            DescriptorKind::Datagram => "a unix datagram socket",
            DescriptorKind::Packets => "a unix socket with packets",
            DescriptorKind::Pipe => "a pipe",
            DescriptorKind::File => "a file",
            DescriptorKind::Process => "a pidfd",
            DescriptorKind::Other => "something else",
        })
    }
}

/// The kind of this descriptor.
///
/// # Errors
/// When the system refuses to tell.
pub fn of(fd: BorrowedFd<'_>) -> io::Result<DescriptorKind> {
    let mode = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    Ok(match mode {
        SFlag::S_IFSOCK => of_socket(fd)?,
        SFlag::S_IFIFO => DescriptorKind::Pipe,
        // A pidfd is a regular file of its own file system since Linux 6.9; before, it had no type at all.
        _ if is_process(fd) => DescriptorKind::Process,
        SFlag::S_IFREG => DescriptorKind::File,
        _ => DescriptorKind::Other,
    })
}

fn of_socket(fd: BorrowedFd<'_>) -> io::Result<DescriptorKind> {
    if getsockopt(&fd, sockopt::AcceptConn)? {
        return Ok(DescriptorKind::Listener);
    }
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let is_unix = address.family() == Some(AddressFamily::Unix);
    Ok(match getsockopt(&fd, sockopt::SockType)? {
        SockType::Stream if is_unix => DescriptorKind::Stream,
        SockType::Datagram if is_unix => DescriptorKind::Datagram,
        SockType::SeqPacket if is_unix => DescriptorKind::Packets,
        _ => DescriptorKind::Other,
    })
}

fn is_process(fd: BorrowedFd<'_>) -> bool {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.starts_with("Pid:")))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn each_is_told_from_the_others() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let client =
            std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let stream = std::os::unix::net::UnixStream::pair().expect("a pair").0;
        let datagram = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        let packets = crate::sys::seqpacket::pair().expect("a pair").0;
        let pipe = std::io::pipe().expect("a pipe").0;
        let file = tempfile::tempfile().expect("a file");
        let process = crate::sys::pidfd::open(nix::unistd::getpid().as_raw()).expect("this process");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let found = [
            of(listener.as_fd()),
            of(client.as_fd()),
            of(stream.as_fd()),
            of(datagram.as_fd()),
            of(packets.as_fd()),
            of(pipe.as_fd()),
            of(file.as_fd()),
            of(process.as_fd()),
            of(null.as_fd()),
        ];
        let expected = [
            DescriptorKind::Listener,
            DescriptorKind::Other,
            DescriptorKind::Stream,
            DescriptorKind::Datagram,
            DescriptorKind::Packets,
            DescriptorKind::Pipe,
            DescriptorKind::File,
            DescriptorKind::Process,
            DescriptorKind::Other,
        ];
        assert_eq!(found.map(|kind| kind.expect("open")), expected);
    }
}
