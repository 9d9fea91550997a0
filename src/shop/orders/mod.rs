//! Orders: what was ordered, how each order's saga stands, how it ended. It owns `orders.db`, knows inventory
//! and payments only as the contract's traits, and must not know HTTP.

pub(in crate::shop) mod decision;
mod domain;
mod idempotency;
pub(in crate::shop) mod records;
mod repository;
mod retention;
mod saga_runner;
mod service;
mod sqlite;
mod takeover;
mod timeline;

pub use domain::{NewOrder, NewOrderError, Order, OrderStatus, Rejection, UnfinishedCounts};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub(in crate::shop) use repository::TakeoverRecord;
pub use saga_runner::SagaOutcome;
pub use service::{OrdersLimits, OrdersService, PlaceError, Placed};
pub(in crate::shop) use sqlite::OrdersReader;
pub use sqlite::{FILE, OLDEST_COMPATIBLE, OrdersRepository, SCHEMA};
