//! Inventory: which articles there are, what they cost, and what is held for which order. It owns
//! `inventory.db`, and must not know why an order is released or what becomes of one that is committed.

mod adjustments;
mod articles;
pub mod catalog;
#[cfg(feature = "postgres")]
pub(in crate::shop) mod postgres;
mod readers;
pub(in crate::shop) mod records;
mod reservation;
mod service;
mod sqlite;
mod stores;

pub use adjustments::{AdjustOutcome, Adjustment, AdjustmentRequest};
pub use articles::{Article, ArticlePatch, ArticleUpdate, EditCondition, EditError, PutOutcome};
pub(in crate::shop) use readers::InventoryReader;
pub(in crate::shop) use reservation::ReservationState;
pub use service::InventoryService;
pub(in crate::shop) use sqlite::SqliteInventoryReader;
pub use sqlite::{FILE, OLDEST_COMPATIBLE, SCHEMA};
pub use stores::InventoryRepository;
