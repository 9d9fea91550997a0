//! What the services' SQLite folders share: the table of fences, the line of events, columns of domain types,
//! errors, and files that are opened to be read only. It must not know what a service's tables mean.

mod columns;
pub(in crate::shop) mod commands;
mod errors;
pub(in crate::shop) mod event_streams;
pub(in crate::shop) mod fences;
pub(in crate::shop) mod lookups;
pub(crate) mod read_only;
pub(in crate::shop) mod snapshots;

pub(in crate::shop) use columns::{StoredLife, invalid, json, row_count, validated};
pub(in crate::shop) use errors::refusal;
