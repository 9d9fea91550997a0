//! The master's brain: which life fills which slot, who gets connections, when to restart, roll out, retire, kill and stop.
//! Pure: `now`, events and randomness come in, effects go out; it holds no process, socket, clock, future or log call.
//!
//! Reading order: [`event`] and [`effect`], with [`verdict`], [`certificate`] and [`announcement`] (the vocabulary), `brain` (the
//! pool and how an event finds its worker), `member`, `phases` and `load` (one worker), `seat` and `record` (a slot and its
//! restart policy), `watch` (beats), `lives` and `archive` (how lives end), `desk` and `patience` (what people asked for),
//! `newcomer` (who stands beside to replace), `rollout`, `canary` and `reload` (another generation), `relief` (the same one),
//! `scale`, `ending`, `upgrade` with [`saved`] (another master binary), `estates` and `adoption` (what the dead leave: work and queues), `settle` (what follows after every batch
//! of events), `passing` (time), `balance` and [`steering`] (who gets new connections), [`status`] (what people are shown).

#[path = "protocol/announcement.rs"]
pub mod announcement;
#[path = "protocol/certificate.rs"]
pub mod certificate;
#[path = "protocol/effect.rs"]
pub mod effect;
#[path = "protocol/event.rs"]
pub mod event;
#[path = "snapshot.rs"]
pub mod saved;
pub mod status;
#[path = "routing/steering.rs"]
pub mod steering;
#[path = "protocol/verdict.rs"]
pub mod verdict;

#[path = "routing/queues.rs"]
mod adoption;
#[path = "slot/history.rs"]
mod archive;
#[path = "routing/weights.rs"]
mod balance;
#[path = "pool.rs"]
mod brain;
#[path = "deploy/canary.rs"]
mod canary;
#[path = "requests/queue.rs"]
mod desk;
#[path = "shutdown.rs"]
mod ending;
#[path = "routing/takeover.rs"]
mod estates;
#[path = "exits.rs"]
mod lives;
#[path = "worker/load.rs"]
mod load;
#[path = "worker/pool_worker.rs"]
mod member;
#[path = "replacement.rs"]
mod newcomer;
#[path = "deadlines.rs"]
mod passing;
#[path = "requests/pending.rs"]
mod patience;
#[path = "worker/phases.rs"]
mod phases;
mod random;
#[path = "slot/restart.rs"]
mod record;
#[path = "replace.rs"]
mod relief;
mod reload;
#[path = "deploy/rollout.rs"]
mod rollout;
mod scale;
#[path = "slot/slot_state.rs"]
mod seat;
#[path = "reconcile.rs"]
mod settle;
mod upgrade;
#[path = "worker/heartbeat.rs"]
mod watch;

#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "routing/traffic.rs"]
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
