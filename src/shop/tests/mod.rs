//! The shop on real files: its services, its crashes, its routes.

mod budgets;
mod crashes;
mod full_disk;
mod idempotency;
mod old_files;
mod refused_requests;
mod retention;
mod routes;
mod schemas;
mod tampering;
mod test_shop;
mod timelines;
