//! What the services' SQLite folders share: the table of fences, columns of domain types, errors, and files
//! that are opened to be read only. It must not know what a service's tables mean.

mod columns;
pub(in crate::shop) mod commands;
mod errors;
pub(in crate::shop) mod fences;
pub(in crate::shop) mod lookups;
pub(crate) mod read_only;
pub(in crate::shop) mod snapshots;

pub(in crate::shop) use columns::{StoredLife, invalid, json, validated};
pub(in crate::shop) use errors::refusal;
