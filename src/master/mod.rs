//! The loop that waits, asks the pool, and acts. One thread, no async runtime, no HTTP, no SQL, nothing of
//! the application.
//!
//! Three owners: [`crate::pool::Pool`] decides, `poller` waits, `host` holds what is acted upon
//! (`gather` turns what is readable into events, `perform` does what the pool wants).

mod control;
mod file_changes;
mod gather;
mod host;
mod listeners;
mod perform;
mod poller;
mod process;
mod report;
mod run;
mod start;
mod upgrade;

pub use listeners::AddressError;
pub use process::{cpus, policy};
pub use run::{MasterEnd, go_on, run};
pub use start::StartError;
pub use start::directories::DirectoryError;
pub use start::incarnation::IncarnationError;
pub use start::launch::{Launch, LoadError};
pub use start::pid_file::PidFileError;
pub use start::user::UserError;
pub use start::{launch, user};
#[cfg(any(test, fuzzing))]
pub(crate) use upgrade::fuzz_upgrade_state;
#[cfg(test)]
pub(crate) use upgrade::upgrade_specimen;
pub use upgrade::{ProcessRole, UpgradeError, process_role, rehearse};
