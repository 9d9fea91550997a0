//! The shop: orders, inventory, payments, their sagas and their routes.
//!
//! The three services meet in [`contract`] and are wired together in `boot` alone; each owns one file in
//! the data directory and knows no other's. [`sandbox`] is the provider that payments charges through, with a
//! ledger of its own.

pub mod admin;
mod boot;
mod by_engine;
pub mod contract;
pub mod customers;
mod engine;
mod event_signal;
pub mod events;
pub mod evidence;
pub mod fault_injection;
pub mod grpc;
pub mod http;
pub mod inventory;
#[cfg(feature = "postgres")]
mod moving;
pub mod orders;
pub mod payments;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub mod recovery;
pub mod sandbox;
pub mod settings;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;

pub use boot::{app, open};
#[cfg(feature = "postgres")]
pub(crate) use moving::bring_to_files;
pub use settings::SECTIONS;
