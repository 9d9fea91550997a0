//! The listening sockets. Reading order: `probe` (whether an address is free), `groups` (the sockets of all
//! slots), `addresses` (which addresses are open when), `admin` (the address of the metrics), `handover` (how
//! the sockets reach another master binary).

mod addresses;
mod admin;
mod groups;
mod handover;
mod probe;

pub(super) use admin::AdminListener;
pub(super) use groups::Listeners;
pub(super) use handover::ListenersState;
pub use probe::AddressError;
pub(super) use probe::probe;
