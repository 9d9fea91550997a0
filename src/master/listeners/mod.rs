//! The listening sockets. Reading order: `probe` (whether an address is free), `groups` (the sockets of all
//! slots), `shared` (those that all workers share), `passed` (those that a service manager bound), `stored`
//! (those that it keeps over a restart), `addresses` (which addresses are open when), `admin` (the address of
//! the metrics), `lent`, `refusal`, `lending` and `loans` (those that programs ask for while they run),
//! `handover` (how the sockets reach another master binary).

mod addresses;
mod admin;
mod groups;
mod handover;
mod lending;
mod lent;
mod loans;
mod passed;
mod probe;
mod refusal;
mod shared;
mod stored;

pub(super) use admin::{AdminListener, NAME as ADMIN_NAME};
pub(super) use groups::Listeners;
pub(super) use handover::ListenersState;
pub use probe::AddressError;
pub(super) use probe::probe;
pub(super) use shared::SharedListener;
pub(super) use stored::{StoredListener, is_stored};
