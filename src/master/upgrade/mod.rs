//! Another binary becomes the master, in the same process: same pid, same workers, same sockets, same requests under way.
//!
//! Reading order: `fds` (the descriptors that go along), `state` (what is written down), `capture` (the old master writes),
//! `rehearsal` (the new binary is asked, as a child, whether it could go on from there), `hand_over` (the old master's last act),
//! `arrival` (how a process learns that it is such a child, or the new master), `unpack` and `assemble` (the new master reads).
//!
//! The child is given the very state and the very descriptors that the new master would be given, and does with them what the new
//! master would do, up to the point where it would act.

mod arrival;
mod assemble;
mod capture;
mod fds;
mod hand_over;
mod rehearsal;
mod state;
mod unpack;

pub use arrival::{Arrival, arrival, rehearse};
pub(super) use assemble::go_on;
pub(super) use fds::{Fd, Luggage, LuggageError, What};
pub(super) use rehearsal::{Part, Upgrade};
pub use unpack::UpgradeError;
