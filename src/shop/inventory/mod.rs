//! Inventory: how much of what lies on the shelf, what it costs, and what is held for which order. Owns `inventory.db`; must not
//! know why an order is released or what becomes of one that is committed.

mod articles;
pub mod catalog;
mod reservations;
mod schema;
mod service;

pub use articles::{Article, Put, PutError, Stocking};
pub use schema::{FILE, SCHEMA};
pub use service::Service;
