//! Orders: what was ordered, how its saga stands, how it ended. Owns `orders.db`; knows inventory and payments only as the
//! contract's traits, and HTTP not at all.

mod domain;
mod idempotency;
mod saga_runner;
mod service;
mod sqlite;

pub use domain::{NewOrder, NewOrderError, Order, OrderStatus, Rejection, UnfinishedCounts};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use saga_runner::SagaOutcome;
pub use service::{OrdersLimits, OrdersService, PlaceError, Placed};
pub use sqlite::{FILE, SCHEMA};
