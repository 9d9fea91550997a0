//! The shop on real files: its services, its crashes, its routes.

mod budgets;
mod crashes;
mod customers;
#[cfg(feature = "postgres")]
mod database_versions;
mod event_streams;
mod events;
mod full_disk;
#[cfg(feature = "postgres")]
mod hosts;
mod idempotency;
#[cfg(feature = "postgres")]
mod moving;
mod old_files;
mod openapi;
mod planted;
#[cfg(feature = "postgres")]
mod postgres;
mod refused_requests;
mod retention;
mod routes;
mod schemas;
mod stock_edits;
mod tampering;
mod test_shop;
mod timelines;
