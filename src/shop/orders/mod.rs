//! Orders: what was ordered, how its saga stands, how it ended. Owns `orders.db`; knows inventory and payments only as the
//! contract's traits, and HTTP not at all.

mod domain;
mod driver;
mod idempotency;
mod journal;
mod retention;
mod row;
mod schema;
mod service;
mod spending;
mod tries;

pub use domain::{NewOrder, NewOrderError, Order, Rejection, Status, Unfinished};
pub use driver::End;
pub use idempotency::{Key, KeyError};
pub use schema::{FILE, SCHEMA};
pub use service::{Limits, PlaceError, Placed, Service};
