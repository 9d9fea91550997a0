//! Payments: what was charged for which order, through a provider. Owns `payments.db`; must not know what was ordered, or which
//! provider it is.

pub mod provider;

mod service;
mod sqlite;

pub use service::Service;
pub use sqlite::payments::{Payment, Status};
pub use sqlite::{FILE, SCHEMA};
