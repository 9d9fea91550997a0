//! What a program asks for when it calls `listen` (pure). It does not know who binds.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

/// Names one question of a program on its channel. It never repeats, not even when another process of the
/// program takes the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeRequestId {
    /// The number of the process on the channel, counted from 0.
    pub(super) taker: u32,
    /// Node's own number of the question.
    pub(super) seq: u64,
}

/// A program waits for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeListenRequest {
    /// Names the request in the answer.
    pub id: NodeRequestId,
    /// What to listen on.
    pub target: ListenTarget,
    /// Which one of several servers of the program on the same target this is, counted from 0. Node's primary
    /// makes a socket of its own for each, which fails with `EADDRINUSE` for the second on one port.
    pub index: u64,
    /// The length of the accept queue that the program wants, if it said one.
    pub backlog: Option<u32>,
}

/// Where a program wants to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenTarget {
    /// `listen(PORT)`, `listen(PORT, HOST)`.
    Tcp {
        /// None for all addresses: `::` for both families, or `0.0.0.0` where IPv6 is missing.
        address: Option<IpAddr>,
        /// 0 for a port that the system chooses. For any other, Node checks that the listener has it.
        port: u16,
        /// Whether `::` means IPv6 alone.
        ipv6_only: bool,
    },
    /// `listen(PATH)`. Node has made it absolute; a name of the abstract namespace begins with a null byte.
    Path {
        /// The path of the socket.
        path: String,
        /// Whether everybody may read the socket (`readableAll`).
        readable_all: bool,
        /// Whether everybody may write to it (`writableAll`).
        writable_all: bool,
    },
    /// `listen({fd: N})`: the slot's listener with this number, counted from 0, which is descriptor 3.
    Inherited {
        /// The number of the listener.
        number: usize,
    },
}

impl fmt::Display for ListenTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenTarget::Tcp {
                address: None, port, ..
            } => write!(formatter, "port {port}"),
            ListenTarget::Tcp {
                address: Some(IpAddr::V4(ip)),
                port,
                ..
            } => write!(formatter, "{ip}:{port}"),
            ListenTarget::Tcp {
                address: Some(IpAddr::V6(ip)),
                port,
                ..
            } => write!(formatter, "[{ip}]:{port}"),
            ListenTarget::Path { path, .. } => write!(formatter, "{}", path.escape_debug()),
            ListenTarget::Inherited { number } => write!(formatter, "listener {number} of the slot"),
        }
    }
}

/// A question that is answered with an error at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRefusal {
    /// What the program's `error` event carries.
    pub errno: Errno,
    /// Why, completing "the program cannot listen: …".
    pub reason: String,
}

/// Where a program listens now, as Node tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The address, if the program named one.
    pub address: Option<String>,
    /// The port that the listener has; none for a path.
    pub port: Option<u16>,
}

/// What names a question in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerKey {
    pub(super) seq: u64,
    pub(super) name: String,
    /// Of a TLS server, the keys of its session tickets.
    pub(super) ticket_keys: Option<String>,
}
