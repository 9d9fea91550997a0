//! The master's side of the control socket: who is at it (`desk`, `client`), what they ask (`ask`), and where the answers come
//! from (`survey` for `status`, `autopsy` for `why` with the evidence that `graves` and `oom` keep).

mod ask;
mod autopsy;
mod carry;
mod causes;
mod client;
mod desk;
mod graves;
mod oom;
mod survey;

pub(super) use ask::answer;
pub(super) use carry::{PackedDesk, UnpackedDesk};
pub(super) use client::Interest;
pub(super) use desk::{ClientId, Desk};
pub(super) use graves::{AtKill, Evidence, Graves, Requests};
pub(super) use oom::{OomKill, OomWatch};
pub(super) use survey::status;
