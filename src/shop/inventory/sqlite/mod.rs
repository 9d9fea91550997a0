//! What is kept of the stock in `inventory.db`: the tables, and every statement.

pub(super) mod reservations;
mod schema;

pub use schema::{FILE, SCHEMA};
