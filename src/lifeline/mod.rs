//! The messages between master and worker on their SOCK_SEQPACKET pair, which is lifeline (end of file: the
//! other is gone), command channel, wake-up and carrier of descriptors. One JSON document a packet, at most
//! [`MAX_PACKET`] bytes.

mod packet;
mod worker_end;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use packet::{PacketError, decode, encode};
pub use worker_end::{ReceivedCommand, WorkerEnd};

use crate::base::ids::Slot;
use crate::pool::OrphanedWork;

/// Version of these messages, and of what a worker finds in its environment. Raise it when a master of the
/// new version can no longer speak with a running worker of the version before; such a master refuses to take
/// over from the old master. A variant that is renamed keeps its name in the packet.
pub const VERSION: u32 = 1;

/// No packet is longer; a longer one is dropped by the receiver.
pub const MAX_PACKET: usize = 4096;

/// Master to worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Take over and finish this orphaned work, then send [`Report::TakenOver`].
    #[serde(rename = "inherit")]
    TakeOver(OrphanedWork),
    /// The whole cluster will stop soon: say that you are not ready, and serve on.
    StopSoon,
    /// The whole cluster stops: drain, and do not wait for connections that are silent, because nobody will
    /// serve on. Sent before or after SIGTERM; either begins the drain.
    Stop,
    /// The listeners of that slot come along: accept from them as from your own, until [`Command::Disown`] or
    /// your drain. Sent more than once when the listeners are too many for one packet.
    Adopt(Slot),
    /// Accept what waits in the queue of that slot now, and close its listeners. Nothing to do for a slot
    /// that was not adopted.
    Disown(Slot),
    /// Report with [`Report::Probed`] whether you are ready, as your own readiness check has it.
    Probe,
    /// The answer to [`Report::MetricsWanted`] of that number: a sealed memory file comes along, with a
    /// `metrics::Snapshot` as JSON.
    #[serde(rename = "figures")]
    Metrics(u64),
    /// The answer to [`Report::ListenerWanted`] or [`Report::ListenerReturned`] of that number: the slot's
    /// listener comes along, or none when `errno` is not 0. A worker that can open no more
    /// descriptors gets none with an `errno` of 0.
    Listener {
        /// The number of the question.
        number: u64,
        /// Why not, as an error number of the system; 0 with a listener.
        errno: i32,
    },
    /// The file that takes what the program prints was opened anew, and comes along. Nothing to do for a
    /// worker without a program.
    OutputFile,
}

/// A worker's reason is cut to this number of characters, so that its report fits into a packet.
pub const MAX_REASON: usize = 500;

/// Worker to master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// Everything of that orphaned work has an owner again.
    #[serde(rename = "inherited")]
    TakenOver(OrphanedWork),
    /// The worker is ready, or the reason why not, in at most [`MAX_REASON`] characters.
    Probed(Result<(), String>),
    /// The listeners of that slot did not come along with [`Command::Adopt`]: this process can open no more.
    NotAdopted(Slot),
    /// The worker is asked for the metrics of the whole cluster. It numbers its questions to know their
    /// answers.
    #[serde(rename = "figures_wanted")]
    MetricsWanted(u64),
    /// The program of the worker is to listen at this address. The master binds it once for all slots, lends
    /// the worker the slot's listener, and answers with [`Command::Listener`].
    ListenerWanted {
        /// The worker numbers its questions to know their answers.
        number: u64,
        /// Where it is to listen.
        address: LentAddress,
    },
    /// The program of the worker has closed the listener that it was lent for this address. The master
    /// closes the address when no worker has it any more, and none asks for it soon. Otherwise it sends new
    /// connections to the slots of those that have it, and then the slot's listener once more by
    /// [`Command::Listener`], so that the worker can pass on what had come before.
    ListenerReturned {
        /// The worker numbers its questions to know their answers.
        number: u64,
        /// The address as it was asked for.
        address: LentAddress,
    },
}

/// An address that a program asks for while it runs, as Node's programs do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LentAddress {
    /// A port.
    Tcp {
        /// The address; none stands for all of both families, or all of IPv4 where there is no IPv6.
        address: Option<IpAddr>,
        /// The port. For 0 the kernel chooses one, which is the same for every worker that asks with the same
        /// address and index.
        port: u16,
        /// Whether `::` is to take IPv6 alone. Without meaning for other addresses.
        ipv6_only: bool,
        /// Tells apart several listeners with port 0. Without meaning for other ports.
        index: u64,
    },
    /// A unix socket.
    Path {
        /// The absolute path, in at most 107 bytes. Names in the abstract namespace (a NUL first) are
        /// refused: they have no permissions, so that any user could connect, or take the name first.
        path: String,
        /// The permission bits that the socket file has from its first moment.
        mode: u32,
    },
}

impl fmt::Display for LentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LentAddress::Tcp {
                address: Some(address),
                port,
                ..
            } => std::net::SocketAddr::new(*address, *port).fmt(f),
            LentAddress::Tcp {
                address: None, port, ..
            } => write!(f, "port {port}"),
            LentAddress::Path { path, .. } => write!(f, "unix:{}", path.escape_debug()),
        }
    }
}
