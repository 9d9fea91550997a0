//! The loop that waits, asks the pool, and acts. One thread, no async runtime, no HTTP, no SQL.

pub mod cpus;
pub mod launch;
pub mod policy;
