//! The master's side of the control socket: who is at it (`server`, `client`), what they ask (`ask`), and where the answers come
//! from (`status`, and `why` with the evidence that `postmortems` and `oom` keep).

mod ask;
mod carry;
mod causes;
mod client;
mod oom;
mod postmortems;
mod server;
mod status;
mod why;

pub(super) use ask::answer;
pub(super) use carry::{PackedDesk, UnpackedDesk};
pub(super) use client::Interest;
pub(super) use oom::{OomKill, OomWatch};
pub(super) use postmortems::{AtKill, Evidence, Graves, Requests};
pub(super) use server::{ClientId, Desk};
pub(super) use status::status;
