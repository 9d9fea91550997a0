//! Payments: what was charged for which order, through a provider. It owns `payments.db`, and must not know
//! what was ordered or which provider it is.

mod payment;
#[cfg(feature = "postgres")]
pub(in crate::shop) mod postgres;
pub mod provider;
mod readers;
pub(in crate::shop) mod records;
mod service;
mod sqlite;
mod stores;

pub use payment::{Payment, PaymentStatus};
pub(in crate::shop) use readers::PaymentsReader;
pub use service::PaymentsService;
pub(in crate::shop) use sqlite::SqlitePaymentsReader;
pub use sqlite::{FILE, SCHEMA};
pub use stores::PaymentsRepository;
