//! The master's brain: which life fills which slot, who gets connections, when to restart, roll out, retire, kill and stop.
//! Pure: `now`, events and randomness come in, effects go out; it holds no process, socket, clock, future or log call.
//!
//! Reading order: [`event`] and [`effect`], with [`verdict`], [`certificate`] and [`announcement`] (the vocabulary), `brain` (the
//! pool and how an event finds its worker), `member`, `phases` and `load` (one worker), `seat` and `record` (a slot and its
//! restart policy), `watch` (beats), `lives` and `archive` (how lives end), `desk` and `patience` (what people asked for),
//! `newcomer` (who stands beside to replace), `rollout`, `canary` and `reload` (another generation), `relief` (the same one),
//! `scale`, `ending`, `upgrade` with [`saved`] (another master binary), `estates` and `adoption` (what the dead leave: work and queues), `settle` (what follows after every batch
//! of events), `passing` (time), `balance` and [`steering`] (who gets new connections), [`status`] (what people are shown).

pub mod announcement;
pub mod certificate;
pub mod effect;
pub mod event;
pub mod saved;
pub mod status;
pub mod steering;
pub mod verdict;

mod adoption;
mod archive;
mod balance;
mod brain;
mod canary;
mod desk;
mod ending;
mod estates;
mod lives;
mod load;
mod member;
mod newcomer;
mod passing;
mod patience;
mod phases;
mod random;
mod record;
mod relief;
mod reload;
mod rollout;
mod scale;
mod seat;
mod settle;
mod upgrade;
mod watch;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod traffic;

pub use announcement::Announcement;
pub use brain::Pool;
pub use certificate::{Cause, CauseKind, Certificate, Decision, Purpose};
pub use effect::{Effect, Estate, KillReason, Outcome, Policy, Signal, SystemdState};
pub use event::{Activity, Event, Exit, NotLoaded, Notice, Request, Sight, StopMode, Ticket};
pub use saved::Saved;
pub use scale::BOUNDS;
pub use settle::FULL_SHARE;
pub use verdict::{Done, Failure, Replaced, Rolled, Share, Verdict};
