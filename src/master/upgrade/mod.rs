//! An upgrade: another binary becomes the master in the same process, with the same pid, workers, sockets and
//! requests.
//!
//! Reading order: `fds` (the descriptors that are handed over), `state` (what is written down), `capture`
//! (the old master writes), `rehearsal` (the new binary is asked, as a child, whether it could take over),
//! `hand_over` (the old master's last step), `role` (how a process learns that it is such a child, or the new
//! master), `take_over` and `resume` (the new master's side).
//!
//! The child gets the same state and the same descriptors as the new master, and does the same with them, up
//! to the point where the new master would act.

mod capture;
mod fds;
mod hand_over;
mod rehearsal;
mod resume;
mod role;
mod state;
mod take_over;

pub(super) use fds::{FdKind, FdNumber, HandoverFdError, HandoverFds};
pub(super) use rehearsal::{RehearsalFd, RehearsalStage};
pub(super) use resume::go_on;
pub use role::{ProcessRole, process_role, rehearse};
#[cfg(any(test, fuzzing))]
pub(crate) use state::fuzz as fuzz_upgrade_state;
#[cfg(test)]
pub(crate) use state::tests::specimen as upgrade_specimen;
pub use take_over::UpgradeError;
