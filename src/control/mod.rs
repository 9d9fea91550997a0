//! How people and programs talk to a running master: one JSON line each way over a socket in the run directory. It owns the
//! words of that conversation and the blocking client; it must not know what the master does to find its answers.
//!
//! One connection carries one request. [`request`] and [`reply`] are the wire's types and their pure parsing, [`report`],
//! [`outcome`] and [`death`] what a reply may hold, [`place`] where the socket lies, [`client`] the side that asks.

pub mod client;
pub mod death;
pub mod outcome;
pub mod place;
pub mod reply;
pub mod report;
pub mod request;

pub use death::{Death, Memory, RequestSeen, Why};
pub use outcome::{Done, Failed, Replaced, Rolled};
pub use reply::{Answer, Reply, ReplyError};
pub use report::{MasterReport, SlotReport, State, Status, WorkerReport};
pub use request::{Ask, MAX_REQUEST, Request, RequestError, VERSION};
