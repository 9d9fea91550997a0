//! The pool from the outside: every (state, event) pair, scenes a person would recognise, and random
//! histories of a simulation. No process, no clock, no sleep.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests pick one announcement out of many"
)]

mod adoptions;
mod canaries;
mod histories;
mod lifecycles;
mod reloads;
mod requests;
mod scalings;
mod scenes;
mod simulation;
mod stops;
mod stubs;
mod takeovers;
mod transition_table;
mod upgrades;
