//! A drain of a program, and when its next step is due.

use tokio::time::Instant;

use crate::worker::DrainLimits;

/// A drain that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) limits: DrainLimits,
    pub(super) begun: Instant,
    /// The signal waits until new connections go elsewhere and its queue is empty.
    pub(super) settles_at: Option<Instant>,
    /// Whether the program was sent its stop signal.
    pub(super) signalled: bool,
    /// Whether the signal came because the time was nearly over, though its connections were not finished.
    pub(super) is_last_call: bool,
    /// Whether its time is over.
    pub(super) is_over: bool,
}

/// The part of a drain that a program has after its signal, when it did not end on its channel.
const LAST_CALL: u32 = 50;

impl Drain {
    /// When something must be done that was not done: the signal, then the kill. A Node program that was
    /// asked on its channel closes it when its requests are answered; a signal before that would cut them.
    pub(super) fn deadline(&self) -> Instant {
        if let Some(settles_at) = self.settles_at {
            return settles_at;
        }
        self.begun
            + match self.signalled {
                true => self.limits.end,
                false => self.limits.end - self.limits.end / LAST_CALL,
            }
    }
}
