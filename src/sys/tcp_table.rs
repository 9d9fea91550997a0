//! The kernel's table of TCP sockets, of the network namespace in which a process is.

use std::fs;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A row of `/proc/PID/net/tcp` or `tcp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSocket {
    /// The address that it is bound to; that of IPv4 where the kernel has it mapped into IPv6.
    pub local: SocketAddr,
    /// The address of its peer.
    pub remote: SocketAddr,
    /// The number of its state, as <net/tcp_states.h> has it.
    state: u8,
    /// Its inode; 0 for a connection that is of no process, because it was not accepted yet or is closed.
    pub inode: u64,
}

impl TcpSocket {
    /// Whether it listens.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.state == 0x0a
    }

    /// Whether neither end has closed it.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == 0x01
    }
}

/// The TCP sockets of a process's namespace of which `wanted` is true.
///
/// # Errors
/// When the process is gone, or this user may not look.
pub fn of(pid: i32, wanted: impl Fn(&TcpSocket) -> bool) -> io::Result<Vec<TcpSocket>> {
    rows(pid, |_| true, wanted)
}

/// The listening TCP sockets of a process's namespace of which `wanted` is true. The kernel lists them first, and
/// no more is read: a busy machine has a hundred thousand connections behind them.
///
/// # Errors
/// When the process is gone, or this user may not look.
pub fn listening(pid: i32, wanted: impl Fn(&TcpSocket) -> bool) -> io::Result<Vec<TcpSocket>> {
    rows(pid, TcpSocket::listens, wanted)
}

/// The wanted rows of both tables, of each as far as `goes_on` is true.
fn rows(
    pid: i32,
    goes_on: impl Fn(&TcpSocket) -> bool,
    wanted: impl Fn(&TcpSocket) -> bool,
) -> io::Result<Vec<TcpSocket>> {
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let file = match fs::File::open(format!("/proc/{pid}/net/{table}")) {
            Ok(file) => file,
            // A machine without IPv6.
            Err(error) if table == "tcp6" && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in io::BufReader::new(file).lines().skip(1) {
            let Some(socket) = row(&line?) else {
                continue;
            };
            if !goes_on(&socket) {
                break;
            }
            found.extend(Some(socket).filter(&wanted));
        }
    }
    Ok(found)
}

/// Columns: number, local address, remote address, state, …, inode.
fn row(line: &str) -> Option<TcpSocket> {
    let mut fields = line.split_whitespace();
    Some(TcpSocket {
        local: address(fields.nth(1)?)?,
        remote: address(fields.next()?)?,
        state: u8::from_str_radix(fields.next()?, 16).ok()?,
        inode: fields.nth(5)?.parse().ok()?,
    })
}

/// `0100007F:1F90`: each word of the address as a number of this machine, whatever its order of bytes.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |place: usize| {
        let digits = host.get(place * 8..place * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let host = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (place, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(host.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::descriptors;

    #[test]
    fn a_listener_and_what_it_accepted_are_in_the_table() {
        let own = nix::unistd::getpid().as_raw();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("connected");
        let from = client.local_addr().expect("an address");
        let theirs = |socket: &TcpSocket| socket.local == address && socket.remote == from;
        let waiting = of(own, theirs).expect("readable");
        // The kernel changes the table while it is read, and may show an entry twice then.
        assert!(
            !waiting.is_empty() && waiting.iter().all(|one| one.inode == 0),
            "{waiting:?}"
        );
        assert!(waiting[0].is_established() && !waiting[0].listens());
        let (accepted, _) = listener.accept().expect("accepted");
        let inode = descriptors::socket_at(own, accepted.as_raw_fd());
        assert_eq!(
            of(own, theirs).expect("readable")[0].inode,
            inode.expect("a socket")
        );
        let listening = of(own, |socket| socket.local == address && socket.listens()).expect("readable");
        let inode = descriptors::socket_at(own, listener.as_raw_fd());
        assert_eq!(listening[0].inode, inode.expect("a socket"));
        let alone = super::listening(own, |socket| socket.local == address);
        assert_eq!(alone.expect("readable"), listening);
    }

    #[test]
    fn both_families_are_read_and_other_lines_are_not() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 \
                    0 77 1 0000000000000000 100 0 0 10 0";
        let expected = TcpSocket {
            local: "127.0.0.1:8080".parse().expect("an address"),
            remote: "0.0.0.0:0".parse().expect("an address"),
            state: 0x0a,
            inode: 77,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(row(line), Some(expected));
            let mapped = address("0000000000000000FFFF00000100007F:0050");
            assert_eq!(mapped, "127.0.0.1:80".parse().ok());
            let loopback = address("00000000000000000000000001000000:0050");
            assert_eq!(loopback, "[::1]:80".parse().ok());
        }
        for line in [
            "",
            "nonsense",
            "0: 0100007F:1F90",
            "0: 01:02 03:04 01 a b c d e f",
        ] {
            assert_eq!(row(line), None, "{line}");
        }
    }
}
