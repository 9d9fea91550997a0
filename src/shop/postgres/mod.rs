//! What the services' PostgreSQL folders share: columns of domain types, errors, fences, the line of events.
//! It must not know what a service's tables mean.

mod columns;
mod errors;
pub(in crate::shop) mod event_streams;
pub(in crate::shop) mod fences;
mod moved_table;
mod passwords;
mod reader;

pub(in crate::shop) use columns::{Columns, json, order_ids, row_count};
pub(in crate::shop) use moved_table::{FENCES, MovedTable};
pub(in crate::shop) use passwords::password;
pub(in crate::shop) use reader::{DatabaseReader, each_row};
