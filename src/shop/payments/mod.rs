//! Payments: what was charged for which order, through a provider. It owns `payments.db`, and must not know
//! what was ordered or which provider it is.

mod payment;
pub mod provider;
pub(in crate::shop) mod records;
mod service;
mod sqlite;

pub use payment::{Payment, PaymentStatus};
pub use service::PaymentsService;
pub(in crate::shop) use sqlite::PaymentsReader;
pub use sqlite::{FILE, PaymentsRepository, SCHEMA};
