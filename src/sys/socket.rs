//! Listening sockets: the members of a SO_REUSEPORT group, the probe that keeps two masters apart, and the
//! steering program.

use std::fs::FileType;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{setsockopt, sockopt};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{credentials, procfs};

/// The number of connections that may wait in the accept queue of one listener; the kernel cuts it to
/// `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// Finds out that no process listens at this address: binds without SO_REUSEPORT, which any living listener
/// refuses, and closes.
///
/// # Errors
/// `AddrInUse` when a process listens there; `PermissionDenied`, `AddrNotAvailable` and the like.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    probe_with(address, false)
}

/// As [`probe`], for a socket that takes both families, if `dual_stack` and the address is of IPv6.
///
/// # Errors
/// As [`probe`].
pub fn probe_with(address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a former listener in TIME_WAIT are no reason to refuse.
    socket.set_reuse_address(true)?;
    choose_families(&socket, address, dual_stack)?;
    socket.bind(&address.into())?;
    // Between two sockets with SO_REUSEADDR it is listen() that finds the other one.
    socket.listen(1)
}

/// Adds a member to the SO_REUSEPORT group of an address: listening, non-blocking, CLOEXEC. The kernel counts
/// the members in the order in which they began to listen, from 0, and the steering program returns that
/// index.
///
/// # Errors
/// As [`probe`].
pub fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    listen_with(address, false)
}

/// As [`listen`], and takes both families, if `dual_stack` and the address is of IPv6. All members of a group
/// have to be alike.
///
/// # Errors
/// As [`probe`].
pub fn listen_with(address: SocketAddr, dual_stack: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    choose_families(&socket, address, dual_stack)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A dual-stack `[::]` takes the IPv4 address of the same port along, and with it the group of another
/// program, so it has to be asked for.
fn choose_families(socket: &Socket, address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)
    } else {
        Ok(())
    }
}

/// The address that a socket is bound to, with the port that the kernel chose.
///
/// # Errors
/// When `socket` is no IP socket.
pub fn local_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let address = socket2::SockRef::from(socket).local_addr()?;
    address
        .as_socket()
        .ok_or_else(|| io::Error::other("not an IP socket"))
}

/// The first port that any user may bind.
#[must_use]
pub fn first_unprivileged_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// Whether an IPv6 listener takes the connections of IPv4, too.
///
/// # Errors
/// When `listener` is no IPv6 socket.
pub fn takes_both_families(listener: &impl AsFd) -> io::Result<bool> {
    Ok(!socket2::SockRef::from(listener).only_v6()?)
}

/// The path that a unix socket is bound to; `None` if it is in the abstract namespace or no unix socket.
///
/// # Errors
/// When `socket` is no socket.
pub fn local_path(socket: &impl AsFd) -> io::Result<Option<PathBuf>> {
    let address = socket2::SockRef::from(socket).local_addr()?;
    Ok(address.as_pathname().map(Path::to_owned))
}

/// Calls on this socket no longer wait.
///
/// # Errors
/// When the system refuses.
pub fn never_wait(socket: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_nonblocking(true)
}

/// Listens at a path that has these permission bits from its first moment. A socket where no process listens
/// any more is replaced.
///
/// # Errors
/// `AddrInUse` when a process uses the socket there, `AlreadyExists` when the path is no socket; both say
/// what is there.
pub fn listen_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(!mode & 0o777));
    let bound = socket.bind(&SockAddr::unix(path)?);
    nix::sys::stat::umask(old);
    bound?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.is_socket() {
        let what = name_of(found);
        let text = format!("{what} is there, and no socket; remove it, or choose another path");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match user_of_socket(path)? {
        None => std::fs::remove_file(path),
        Some(who) => {
            let text = format!("{who}; stop that program, or choose another path");
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

/// Who uses the socket at the path, in words; nobody if it was left behind. Does not wait when its queue is
/// full.
fn user_of_socket(path: &Path) -> io::Result<Option<String>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let Err(error) = socket.connect(&SockAddr::unix(path)?) else {
        let listener = credentials::of_peer(&socket)?.pid;
        let command = procfs::command_line(listener);
        return Ok(Some(format!("pid {listener} ({command}) listens there")));
    };
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::WouldBlock, _) => Ok(Some("another program listens there".to_owned())),
        (io::ErrorKind::ConnectionRefused, _) => Ok(None),
        (_, Some(libc::EPROTOTYPE)) => Ok(Some(
            "a socket of another kind, for datagrams or packets, is there and in use".to_owned(),
        )),
        _ => Err(error),
    }
}

/// The file that a path named. Its maker can remove it, without removing what others have put there since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that is at a path now (a link itself, not its target).
    ///
    /// # Errors
    /// When there is no file at the path.
    pub fn at(path: &Path) -> io::Result<FileId> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(FileId {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// The file with this device and inode, whether it is at the path or not.
    #[must_use]
    pub fn known(path: &Path, device: u64, inode: u64) -> FileId {
        FileId {
            path: path.to_owned(),
            device,
            inode,
        }
    }

    /// The numbers of its device and of its inode.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether the path still names this file.
    #[must_use]
    pub fn is_there(&self) -> bool {
        FileId::at(&self.path).is_ok_and(|now| now == *self)
    }

    /// Removes the path, if it still names this file.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match FileId::at(&self.path) {
            Ok(now) if now == *self => std::fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The number of connections in the accept queue of a listener, which the kernel calls `tcpi_unacked`.
///
/// # Errors
/// When `listener` is no TCP socket.
pub fn accept_queue(listener: &impl AsFd) -> io::Result<u32> {
    // SAFETY: tcp_info is plain integers, for which all zeros is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes into `info`, which has as many and outlives the call.
    let result = unsafe {
        libc::getsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    nix::errno::Errno::result(result)?;
    Ok(info.tcpi_unacked)
}

/// How many bytes written to this socket its peer has not taken: acknowledged on TCP, read on a unix socket.
///
/// # Errors
/// When `socket` is no connected TCP or unix socket.
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ of a socket) writes one int, which `bytes` is and which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    nix::errno::Errno::result(result)?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// One instruction of a classic BPF program: operation, jump if true, jump if false, constant.
pub type Instruction = (u16, u8, u8, u32);

/// Gives the group of this socket a steering program, in place of the one before.
///
/// # Errors
/// When the kernel refuses the program (an old kernel, or a sandbox).
pub fn steer(member: &impl AsFd, program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
    // The kernel copies the program during the call.
    let program = libc::sock_fprog {
        len,
        filter: filter.as_mut_ptr(),
    };
    Ok(setsockopt(member, sockopt::AttachReusePortCbpf, &program)?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn a_living_listener_is_noticed_even_if_it_shares_its_port() {
        let group = listen(LOOPBACK).expect("a listener");
        let address = local_address(&group).expect("an address");
        assert_eq!(
            probe(address).expect_err("it was not noticed").kind(),
            io::ErrorKind::AddrInUse
        );
        drop(group);
        probe(address).expect("free again");
    }

    #[test]
    fn the_program_chooses_the_member() {
        let first = listen(LOOPBACK).expect("a listener");
        let address = local_address(&first).expect("an address");
        let second = TcpListener::from(listen(address).expect("a second"));
        let first = TcpListener::from(first);
        // BPF_RET | BPF_K: always this index.
        let always = |index| [(0x06_u16, 0, 0, index)];
        for (index, chosen, other) in [(0, &first, &second), (1, &second, &first)] {
            steer(&first, &always(index)).expect("steered");
            for _ in 0..8 {
                let _client = TcpStream::connect(address).expect("connected");
                chosen.accept().expect("in the chosen queue");
                assert_eq!(
                    other.accept().expect_err("empty").kind(),
                    io::ErrorKind::WouldBlock
                );
            }
        }
    }

    #[test]
    fn what_waits_in_a_queue_is_counted() {
        let listener = listen(LOOPBACK).expect("a listener");
        let address = local_address(&listener).expect("an address");
        assert_eq!(accept_queue(&listener).expect("counted"), 0);
        let _clients = [(); 3].map(|()| TcpStream::connect(address).expect("connected"));
        assert_eq!(accept_queue(&listener).expect("counted"), 3);
        let no_tcp = std::os::unix::net::UnixStream::pair().expect("a pair").0;
        assert!(accept_queue(&no_tcp).is_err());
    }

    #[test]
    fn a_living_socket_whose_queue_is_full_is_taken_and_holds_up_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shop.sock");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        let address = SockAddr::unix(&path).expect("a path");
        busy.bind(&address).expect("bound");
        busy.listen(0).expect("listening");
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("set");
            match client.connect(&address) {
                Ok(()) => waiting.push(client),
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(listen_unix(&path, 0o600).map(drop).map_err(|e| e.kind())));
        let verdict = heard.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(
            verdict,
            Ok(Err(io::ErrorKind::AddrInUse)),
            "{} wait",
            waiting.len()
        );
    }

    #[test]
    fn a_file_is_removed_by_whoever_made_it_and_not_when_it_is_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shop.sock");
        // Both at once, so that the second cannot have the first one's number.
        let other = directory.path().join("other.sock");
        let _ours = listen_unix(&path, 0o600).expect("listening");
        let _theirs = listen_unix(&other, 0o600).expect("listening");
        let id = FileId::at(&path).expect("there");
        std::fs::rename(&other, &path).expect("replaced");
        id.remove().expect("nothing to do");
        assert!(path.exists() && !id.is_there(), "it is another's");
        FileId::at(&path).expect("there").remove().expect("removed");
        assert!(!path.exists());
        id.remove().expect("nothing is there");
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shop.sock");
        drop(listen_unix(&path, 0o600).expect("fresh"));
        let living = listen_unix(&path, 0o660).expect("replaced");
        let mode = std::fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o660);
        let refused = |kind, word: &str| {
            let error = listen_unix(&path, 0o600).expect_err("it is another's");
            assert!(
                error.kind() == kind && error.to_string().contains(word),
                "{error}"
            );
            std::fs::remove_file(&path).expect("removed");
        };
        let own = format!("pid {} (", std::process::id());
        refused(io::ErrorKind::AddrInUse, &own);
        drop(living);
        let datagrams = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
        refused(io::ErrorKind::AddrInUse, "datagrams");
        drop(datagrams);
        std::fs::write(&path, "precious").expect("written");
        refused(io::ErrorKind::AlreadyExists, "a regular file is there");
        std::os::unix::fs::symlink("elsewhere", &path).expect("linked");
        refused(io::ErrorKind::AlreadyExists, "a symbolic link is there");
    }
}
