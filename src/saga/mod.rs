//! An order's steps, and what follows from each outcome. Pure: no SQL, no HTTP, no clock, no task; `now`, randomness and events
//! come in, the next state and the one thing to do come out.
//!
//! - [`definition`] is the list to read first: what is done, what undoes it, how an unknown outcome is settled.
//! - [`table`] is State × Event, every pair written down. Recovery has no logic of its own: a saga that is taken over starts at
//!   the top of the same table, and participants answer what they answered before.
//! - [`budget_used`] is all that it knows of its earlier owners: what they left of the budgets.

pub mod budget_used;
pub mod definition;
#[cfg(test)]
mod histories;
pub mod table;

pub use budget_used::Spent;
pub use definition::{Command, Definition, ORDER, Phase, Step};
pub use table::{Cause, Effect, Event, Illegal, State, Verdict};
