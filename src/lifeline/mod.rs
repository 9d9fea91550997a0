//! The messages between master and worker on their SOCK_SEQPACKET pair, which is lifeline (end of file: the other is gone),
//! command channel, wake-up and carrier of descriptors. One JSON document a packet, at most [`MAX_PACKET`] bytes.

mod packet;
mod worker_end;

use serde::{Deserialize, Serialize};

pub use packet::{PacketError, decode, encode};
pub use worker_end::{Received, WorkerEnd};

use crate::base::ids::Slot;
use crate::pool::OrphanedWork;

/// Of these messages, and of what a worker finds in its environment. Raised when a master could no longer speak with a running worker
/// of the version before; such a master refuses to take over from one that could.
pub const VERSION: u32 = 1;

/// No packet is longer; a longer one is dropped by the receiver.
pub const MAX_PACKET: usize = 4096;

/// Master to worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Take over and finish what these left behind, then say [`Report::Inherited`].
    Inherit(OrphanedWork),
    /// The whole cluster stops: drain, and do not wait for connections that are silent, because nobody will serve on. Sent
    /// before or after SIGTERM; either begins the drain.
    Stop,
    /// The listeners of that slot come along: accept from them as from your own, until [`Command::Disown`] or your drain. Said
    /// more than once when there are too many for one packet.
    Adopt(Slot),
    /// Take what waits there now, and let go of that slot's listeners. Nothing to do for a slot that was not adopted.
    Disown(Slot),
    /// Say by [`Report::Probed`] whether you are ready, as your own readiness has it.
    Probe,
    /// The answer to [`Report::FiguresWanted`] of that number: a sealed memory file comes along, with a
    /// `metrics::Snapshot` as JSON.
    Figures(u64),
}

/// A worker's reason is cut to so many characters, so that its report fits into a packet.
pub const MAX_REASON: usize = 500;

/// Worker to master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// Everything of that estate has an owner again.
    Inherited(OrphanedWork),
    /// Ready, or why not, in at most [`MAX_REASON`] characters.
    Probed(Result<(), String>),
    /// The listeners of that slot did not come along with [`Command::Adopt`]: this process can open no more.
    NotAdopted(Slot),
    /// Somebody wants to know the numbers of the whole cluster; counted by the worker, so that it knows the answer.
    FiguresWanted(u64),
}
