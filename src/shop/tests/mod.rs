//! The shop on real files: its services, its crashes, its routes.

mod budgets;
mod crashes;
mod full_disk;
mod idempotency;
mod kit;
mod old;
mod old_files;
mod routes;
mod schemas;
mod tampering;
