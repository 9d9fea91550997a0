//! Inventory: how much of what lies on the shelf, what it costs, and what is held for which order. Owns `inventory.db`; must not
//! know why an order is released or what becomes of one that is committed.

mod articles;
pub mod catalog;

mod service;
mod sqlite;

pub use articles::{Article, ArticleUpdate, PutArticleError, PutOutcome};
pub use service::InventoryService;
pub use sqlite::{FILE, SCHEMA};
