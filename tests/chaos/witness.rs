//! What the kernel knows of a server's sockets (`sock_diag(7)`): who was accepted by which process, and who
//! waits in which queue; and whether a process stands still. It asks nobody whose word is in question.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

// <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h>, <linux/tcp_states.h>
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const DONE: u16 = 3;
const AF_INET: u8 = 2;
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;
const CLOSE_WAIT: u32 = 1 << 8;
const LISTEN: u32 = 1 << 10;

/// One socket of the server.
#[derive(Clone, Copy, Debug)]
struct Seen {
    peer: SocketAddr,
    /// Bytes to read; of a listener: connections to accept.
    waiting: u32,
    /// 0 as long as nobody has accepted it.
    inode: u32,
}

/// The clients whose connections this process has accepted.
pub(crate) fn accepted_by(pid: i32, server: SocketAddr) -> BTreeSet<SocketAddr> {
    let own = inodes_of(pid);
    let open = sockets(server, ESTABLISHED | CLOSE_WAIT).into_iter();
    open.filter(|seen| own.contains(&seen.inode))
        .map(|seen| seen.peer)
        .collect()
}

/// How many connections wait in the queue of each listener, by its inode.
pub(crate) fn queues(server: SocketAddr) -> BTreeMap<u32, u32> {
    let listeners = sockets(server, LISTEN).into_iter();
    listeners.map(|seen| (seen.inode, seen.waiting)).collect()
}

/// The listeners that a process holds.
pub(crate) fn listeners_of(pid: i32, server: SocketAddr) -> BTreeSet<u32> {
    let own = inodes_of(pid);
    queues(server)
        .into_keys()
        .filter(|inode| own.contains(inode))
        .collect()
}

/// Waits until a process is in that state of `/proc/PID/stat`.
pub(crate) fn wait_for_state(pid: i32, state: char) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while cluster::sys::procfs::stat(pid).is_ok_and(|stat| stat.state != state) {
        assert!(Instant::now() < deadline, "{pid} is not in state {state}");
        std::thread::yield_now();
    }
}

/// The sockets a process holds. One that is gone holds none.
fn inodes_of(pid: i32) -> BTreeSet<u32> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = open.into_iter().flatten().flatten();
    links
        .filter_map(|entry| {
            let link = std::fs::read_link(entry.path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

fn sockets(server: SocketAddr, states: u32) -> Vec<Seen> {
    let protocol = Some(Protocol::from(NETLINK_SOCK_DIAG));
    let mut kernel = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, protocol).expect("a netlink socket");
    kernel.write_all(&request(server, states)).expect("asked");
    let mut seen = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = kernel.read(&mut buffer).expect("answered");
        let mut rest = &buffer[..length];
        while let Some(size) = rest.get(..4).map(|four| number(four) as usize) {
            if u16::from_ne_bytes([rest[4], rest[5]]) != SOCK_DIAG_BY_FAMILY {
                assert_eq!(rest[4], DONE as u8, "the kernel does not tell of sockets");
                return seen;
            }
            seen.push(read(&rest[16..size]));
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// `struct nlmsghdr`, `struct inet_diag_req_v2`
fn request(server: SocketAddr, states: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_INET, TCP, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(server.port().to_be_bytes());
    bytes.resize(72, 0);
    bytes
}

/// `struct inet_diag_msg`
fn read(message: &[u8]) -> Seen {
    let port = u16::from_be_bytes([message[6], message[7]]);
    let ip = Ipv4Addr::new(message[24], message[25], message[26], message[27]);
    Seen {
        peer: SocketAddr::new(IpAddr::V4(ip), port),
        waiting: number(&message[56..60]),
        inode: number(&message[68..72]),
    }
}

fn number(four: &[u8]) -> u32 {
    u32::from_ne_bytes([four[0], four[1], four[2], four[3]])
}
