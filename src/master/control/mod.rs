//! The master's side of the control socket: `server`, its `client`s and `accepting` them, `ask` (from a
//! request to its answer), and the sources of the answers (`status`, `logs`, and `why` with the evidence
//! that `postmortems` and `oom` keep). `handover` carries the clients through an upgrade.

mod accepting;
mod ask;
mod causes;
mod client;
mod handover;
mod logs;
mod oom;
mod postmortems;
mod server;
mod status;
mod why;

pub(super) use ask::answer;
pub(super) use client::Interest;
pub(super) use handover::ControlServerState;
pub(super) use logs::EndedOutputs;
pub(super) use oom::{OomKill, OomMonitor};
pub(super) use postmortems::{Postmortem, Postmortems, StateAtKill, UnfinishedRequests};
pub(super) use server::{ClientId, ControlServer};
pub(super) use status::status;
