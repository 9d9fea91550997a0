//! The master's decisions: which worker fills which slot, who gets connections, when to restart, roll out,
//! retire, kill and stop. Pure: `now`, events and randomness come in, effects go out. The pool holds no
//! process, socket, clock, future or log call.
//!
//! Values lie below, in folders; what acts on the pool lies above them, in this folder. Reading order:
//!
//! - [`protocol`]: what comes in (events) and goes out (effects);
//! - `worker` (one worker), `slot` (a place for one), `deploy` (the operation under way), `routing`
//!   (connections, queues, orphaned work), `requests` (what people asked for), `clock`, `fleet` (slots, and
//!   workers that leave), `lifecycle`;
//! - `pool` (an event finds the part it concerns), `reconcile` (what follows after every batch of events),
//!   `deadlines` (time), `exits` (how workers leave and slots are filled), `dispatch` (requests), `replace`,
//!   `reload`, `scale`, `upgrade`, `shutdown` (what is done about them);
//! - [`status`] (what people are shown), [`snapshot`] (the pool on its way to another master binary).

pub mod protocol;
pub mod routing;
pub mod snapshot;
pub mod status;

mod clock;
mod deadlines;
mod deploy;
mod dispatch;
mod exits;
mod fleet;
mod lifecycle;
mod parts;
#[expect(
    clippy::module_inception,
    reason = "the folder's one type, above all else in it"
)]
mod pool;
mod random;
mod reconcile;
mod reload;
mod replace;
mod requests;
mod scale;
mod shutdown;
mod slot;
mod upgrade;
mod worker;

#[cfg(test)]
mod fixture;

pub use pool::Pool;
pub use protocol::announcement::Announcement;
pub use protocol::certificate::{Cause, CauseKind, Certificate, Decision, Purpose};
pub use protocol::effect::{Effect, Signal, SystemdState};
pub use protocol::event::{Event, NotLoaded, Notification, Request, Sample, StopMode, Ticket};
pub use protocol::facts::{Activity, KillReason, OrphanedWork, Outcome, Policy, ProcessExit};
pub use protocol::verdict::{Done, Failure, Replaced, Rolled, Share, Verdict};
pub use routing::steering::FULL_SHARE;
pub use slot::bounds::BOUNDS;
pub use snapshot::Saved;
