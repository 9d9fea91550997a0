//! Orders: what was ordered, how each order's saga stands, how it ended. It owns `orders.db`, knows inventory
//! and payments only as the contract's traits, and must not know HTTP.

pub(in crate::shop) mod decision;
mod domain;
mod idempotency;
#[cfg(feature = "postgres")]
pub(in crate::shop) mod postgres;
mod readers;
pub(in crate::shop) mod records;
mod repository;
mod retention;
mod saga_runner;
mod service;
mod sqlite;
mod stores;
mod takeover;
mod timeline;

pub use domain::{NewOrder, NewOrderError, Order, OrderStatus, Rejection, UnfinishedCounts};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub(in crate::shop) use readers::OrdersReader;
pub(in crate::shop) use repository::TakeoverRecord;
pub use saga_runner::SagaOutcome;
pub use service::{OrdersLimits, OrdersService, PlaceError, Placed};
pub(in crate::shop) use sqlite::SqliteOrdersReader;
pub use sqlite::{FILE, OLDEST_COMPATIBLE, SCHEMA};
pub use stores::OrdersRepository;
