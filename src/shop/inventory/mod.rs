//! Inventory: which articles there are, what they cost, and what is held for which order. It owns
//! `inventory.db`, and must not know why an order is released or what becomes of one that is committed.

mod adjustments;
mod articles;
pub mod catalog;
pub(in crate::shop) mod records;
mod reservation;
mod service;
mod sqlite;

pub use adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
pub use articles::{Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome};
pub(in crate::shop) use reservation::ReservationState;
pub use service::InventoryService;
pub(in crate::shop) use sqlite::InventoryReader;
pub use sqlite::{FILE, InventoryRepository, OLDEST_COMPATIBLE, SCHEMA};
