//! The agent: the worker that runs a program of the user's in place of an application, and answers for it to
//! the master. It must not know the shop, nor what the master decides.
//!
//! Reading order: `supervise` is the life of a program, `said`, `telling`, `unused`, `drain`, `draining`
//! and `ending` are parts of it; `launch`, `command` and `environment` start it; `conversation` and [`node`]
//! lead Node programs; `output` takes what it prints; `process_tree` ends it; `adoption` serves the queues of
//! other slots. Whether it is alive:
//! [`evidence`] is what the kernel shows of it, [`pulse`] what it says itself, [`probing`] what it answers,
//! [`liveness`] what follows from all of them, and [`vouching`] the beats that are stamped or not.
//! [`readiness`] waits until it is ready.

mod adoption;
mod command;
mod conversation;
mod drain;
mod draining;
mod ending;
mod environment;
pub mod evidence;
pub mod facts;
mod launch;
mod lines;
pub mod liveness;
pub mod node;
mod notify;
mod output;
pub mod probe;
pub mod probing;
mod process_tree;
pub mod pulse;
pub mod readiness;
mod said;
mod supervise;
mod telling;
mod unused;
pub mod vouching;
mod words;

#[cfg(test)]
mod test_program;

pub(crate) use command::never_starts;
pub(crate) use supervise::run;
