//! The listening sockets. Reading order: `probe` (whether an address is free), `groups` (the sockets of all
//! slots), `shared` (those that all workers share), `passed` (those that a service manager bound), `addresses`
//! (which addresses are open when), `admin` (the address of the metrics), `handover` (how the sockets reach
//! another master binary).

mod addresses;
mod admin;
mod groups;
mod handover;
mod passed;
mod probe;
mod shared;

pub(super) use admin::{AdminListener, NAME as ADMIN_NAME};
pub(super) use groups::Listeners;
pub(super) use handover::ListenersState;
pub use probe::AddressError;
pub(super) use probe::probe;
pub(super) use shared::SharedListener;
