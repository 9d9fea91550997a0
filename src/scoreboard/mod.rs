//! The shared page a worker beats in: one sealed memory file per life, written by that life alone, read by others as if hostile.
//! It must not know who reads it nor what follows from what is read.

mod board;
mod cell;
mod counters;
#[cfg(test)]
mod fixture;
pub mod layout;
mod own;
mod requests;
mod routes;
mod view;

pub use board::{Board, BoardError};
pub use cell::Cell;
pub use counters::{Counter, Counters};
pub use own::{OwnError, OwnKind, OwnMetric, OwnSeen};
pub use requests::{Noted, Seen};
pub use routes::{BOUNDS_MS, METHODS, RouteCounts, RouteSeen, method_place};
pub use view::{BoardView, Counts, Marked, Vitals};
