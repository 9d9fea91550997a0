//! The shop on real files: its services, its crashes, its routes.

mod crashes;
mod full_disk;
mod idempotency;
mod kit;
mod old;
mod routes;
mod schemas;
