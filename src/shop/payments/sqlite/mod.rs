//! What is kept of payments in `payments.db`: the tables, and every statement.

pub(super) mod payments;
mod schema;

pub use schema::{FILE, SCHEMA};
