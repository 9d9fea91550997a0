//! The shared page a worker beats in: one sealed memory file per life, written by that life alone, read by
//! others as if hostile. It must not know who reads it nor what follows from what is read.

mod app_metrics;
mod board;
mod cell;
mod counters;
#[cfg(test)]
mod fixture;
pub mod layout;
mod requests;
mod routes;
mod view;

pub use app_metrics::{AppMetric, AppMetricError, AppMetricKind, AppMetricSample};
pub use board::{Board, BoardError};
pub use cell::Cell;
pub use counters::{Counter, Counters};
pub use requests::{RequestNote, RequestSample};
pub use routes::{BOUNDS_MS, METHODS, RouteCounts, RouteSample, method_index};
pub use view::{BoardView, CounterValues, LockMark, Vitals};
