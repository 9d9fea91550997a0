//! What each customer ordered and spent: a read model with a database of its own, fed by the events of orders
//! alone. It can be removed at any time: it is built again from the totals that orders tells, as of an event,
//! and the events behind it.

mod consumer;
mod rebuild;
mod service;
mod sqlite;
mod summary;

pub(in crate::shop) use consumer::{Consumer, OrdersFeed};
pub(in crate::shop) use rebuild::{Rebuilt, rebuild};
pub use service::CustomersService;
pub(in crate::shop) use sqlite::CustomersReader;
pub use sqlite::{CustomersRepository, FILE, SCHEMA};
pub use summary::{CustomerSummary, SpentTotal};
