//! The shared page a worker beats in: one sealed memory file per life, written by that life alone, read by others as if hostile.
//! It must not know who reads it nor what follows from what is read.

mod board;
mod cell;
mod counters;
pub mod layout;
mod requests;
mod view;

pub use board::{Board, BoardError};
pub use cell::Cell;
pub use counters::{Counter, Counters};
pub use requests::{Noted, Seen};
pub use view::{BoardView, Counts, Vitals};
