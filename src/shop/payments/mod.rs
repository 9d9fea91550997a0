//! Payments: what was charged for which order, through a provider. Owns `payments.db`; must not know what was ordered, or which
//! provider it is.

pub mod provider;
mod record;
mod schema;
mod service;

pub use record::{Payment, Status};
pub use schema::{FILE, SCHEMA};
pub use service::Service;
