//! The pool from the outside: every (state, event) pair, scenes a person would recognise, and random
//! histories of a simulated world. No process, no clock, no sleep.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests pick one announcement out of many"
)]

mod careers;
mod histories;
mod pairs;
mod reloads;
mod requests;
mod scenes;
mod upgrades;
mod world;
