//! The shop on real files: its services, its crashes, its routes.

mod crashes;
mod idempotency;
mod kit;
mod routes;
