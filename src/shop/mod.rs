//! The shop: orders, inventory, payments, their sagas and their routes.
//!
//! The three services meet in [`contract`] and are wired together in [`boot`] alone; each owns one file in the data directory
//! and knows no other's. [`sandbox`] is the provider that payments charges through, with a ledger of its own.

mod accord;
mod almanac;
pub mod audit;
mod boot;
pub mod clock;
pub mod contract;
pub mod dossier;
mod fences;
mod heirs;
pub mod http;
pub mod inventory;
mod keeper;
mod lives;
pub mod office;
pub mod orders;
pub mod payments;
pub mod sandbox;
pub mod settings;
pub mod takeovers;
#[cfg(test)]
mod tests;
pub mod unreliable;
mod upkeep;

pub use boot::{app, open};
pub use settings::SECTIONS;
