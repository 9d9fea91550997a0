//! Payments: what was charged for which order, through a provider. Owns `payments.db`; must not know what was ordered, or which
//! provider it is.

pub mod provider;

mod service;
mod sqlite;

pub use service::PaymentsService;
pub use sqlite::payments::{Payment, PaymentStatus};
pub use sqlite::{FILE, SCHEMA};
