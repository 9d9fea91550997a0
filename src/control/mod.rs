//! The control protocol: how people and programs talk to a running master, with one JSON line each way over a
//! socket in the run directory. This module owns the wire format and the blocking client; it must not know
//! how the master finds its answers.
//!
//! One connection carries one request. [`request`] and [`reply`] are the wire's types and their pure parsers,
//! [`report`], [`death`] and [`logs`] what an answer may hold, [`socket_path`] where the socket lies,
//! [`client`] the side that asks.

pub mod client;
pub mod death;
pub mod logs;
pub mod reply;
pub mod report;
pub mod request;
pub mod socket_path;

pub use death::{Death, DeathReport, MemoryUse, UnfinishedRequest};
pub use logs::{LifeOutput, OutputPosition, OutputReport};
pub use reply::{ControlAnswer, ControlReply, Failed, ReplyError};
pub use report::{
    ClusterStatus, LastVerdict, MasterReport, MasterState, OperationKind, OperationResult, SlotReport,
    WorkerReport,
};
pub use request::{ControlCommand, ControlRequest, MAX_REQUEST, RequestError, VERSION};
