//! The master's brain: which life fills which slot, who gets connections, when to restart, roll out, retire, kill and stop.
//! Pure: `now`, events and randomness come in, effects go out; it holds no process, socket, clock, future or log call.

pub mod effect;
pub mod event;

pub use effect::{Announcement, Effect, Estate, KillReason, Outcome, Signal, SystemdState};
pub use event::{Activity, Event, Exit, Notice, StopMode};
