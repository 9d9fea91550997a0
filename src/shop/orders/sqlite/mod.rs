//! What is kept of orders in `orders.db`: the tables, and every statement.

pub(super) mod attempts;
pub(super) mod budget_used;
pub(super) mod orders;
pub(super) mod retention;
mod row;
mod schema;

pub use schema::{FILE, SCHEMA};
