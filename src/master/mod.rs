//! The loop that waits, asks the pool, and acts. One thread, no async runtime, no HTTP, no SQL, nothing of the application.
//!
//! Three owners: [`crate::pool::Pool`] decides, [`watch`] waits, [`world`] holds what is acted upon ([`gather`] turns what is
//! readable into events, [`perform`] does what the pool wants).

mod addresses;
mod announce;
mod build;
mod control;
pub mod cpus;
mod directories;
mod durable;
mod evidence;
mod figures;
mod gather;
mod generation;
mod incarnation;
pub mod launch;
mod listeners;
mod oddities;
mod orphans;
mod perform;
mod pid_file;
pub mod policy;
mod process;
mod run;
mod spawn;
mod start;
mod systemd;
mod upgrade;
pub mod user;
mod watch;
mod world;

pub use directories::DirectoryError;
pub use incarnation::IncarnationError;
pub use launch::{Launch, LoadError};
pub use orphans::AddressError;
pub use pid_file::PidFileError;
pub use run::{End, go_on, run};
pub use start::StartError;
pub use upgrade::{Arrival, UpgradeError, arrival, rehearse};
pub use user::UserError;
