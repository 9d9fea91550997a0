//! Orders: what was ordered, how its saga stands, how it ended. Owns `orders.db`; knows inventory and payments only as the
//! contract's traits, and HTTP not at all.

mod domain;
mod idempotency;
mod saga_runner;
mod service;
mod sqlite;

pub use domain::{NewOrder, NewOrderError, Order, Rejection, Status, Unfinished};
pub use idempotency::{Key, KeyError};
pub use saga_runner::End;
pub use service::{Limits, PlaceError, Placed, Service};
pub use sqlite::{FILE, SCHEMA};
