//! The master's brain: which life fills which slot, who gets connections, when to restart, roll out, retire, kill and stop.
//! Pure: `now`, events and randomness come in, effects go out; it holds no process, socket, clock, future or log call.
//!
//! Reading order: [`event`] and [`effect`] (the vocabulary), `brain` (the pool and how an event finds its worker), `member` and
//! `phases` (one worker), `seat` and `record` (a slot and its restart policy), `watch` (beats), `lives`, `rollout` and `reload`,
//! `scale`, `ending`, `estates`, `settle` (what follows after every event), `passing` (time), [`steering`] (the kernel's
//! program), [`status`] (what people are shown).

pub mod certificate;
pub mod effect;
pub mod event;
pub mod status;
pub mod steering;
pub mod verdict;

mod adoption;
mod archive;
mod balance;
mod brain;
mod desk;
mod ending;
mod estates;
mod lives;
mod load;
mod member;
mod passing;
mod phases;
mod random;
mod record;
mod relief;
mod reload;
mod rollout;
mod scale;
mod seat;
mod settle;
mod watch;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod traffic;

pub use brain::Pool;
pub use certificate::{Cause, CauseKind, Certificate, Decision, Purpose};
pub use effect::{Announcement, Effect, Estate, KillReason, Outcome, Policy, Signal, SystemdState};
pub use event::{Activity, Event, Exit, NotLoaded, Notice, Request, Sight, StopMode, Ticket};
pub use scale::BOUNDS;
pub use settle::FULL_SHARE;
pub use verdict::{Done, Failure, Replaced, Rolled, Share, Verdict};
