//! The listening sockets. Reading order: `groups` (the sockets of all slots), `addresses` (which addresses are open when), `admin`
//! (the address of the metrics), `carried` (how the sockets reach another master binary).

mod addresses;
mod admin;
mod carried;
mod groups;

pub(super) use admin::Admin;
pub(super) use carried::{PackedListeners, UnpackedListeners};
pub(super) use groups::Listeners;
