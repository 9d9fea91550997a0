//! The saga of an order as data: step, command, compensation, what settles an unknown outcome, retries, budget.
//! Knows the words only, not who carries them out.

use std::time::Duration;

use crate::base::backoff::Backoff;

/// What a participant is told to do. Each is idempotent per order, and its reply can be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Inventory: hold the stock.
    Reserve,
    /// Inventory: let the stock go; leaves a tombstone when nothing was reserved, so that a late reserve finds the door shut.
    Release,
    /// Payments: take the money.
    Charge,
    /// Payments: make sure that no money was and will be taken. Refused when it was taken.
    Cancel,
    /// Inventory: the held stock leaves the shelf.
    Commit,
    /// Inventory: what left the shelf is put back; what is only held is let go.
    Return,
    /// Payments: make sure that no money stands: cancel it, and give it back when it was taken.
    Refund,
}

impl Command {
    /// Every one.
    pub const ALL: [Command; 7] = [
        Command::Reserve,
        Command::Release,
        Command::Charge,
        Command::Cancel,
        Command::Commit,
        Command::Return,
        Command::Refund,
    ];
}

/// Which side of the point of no return a step is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// May be refused; is undone when a later step is refused.
    Compensable,
    /// May be refused; once it is done the saga goes forward only.
    Pivot,
    /// After the pivot: only ever retried.
    Retriable,
}

/// One line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What does it.
    pub command: Command,
    /// What undoes it: of a step before the pivot, when a later one is refused; of every step, when a person gives the order up.
    pub compensation: Option<Command>,
    /// Of the pivot: what makes known whether it happened, once it or a step before it stayed unknown past its budget. Done: it
    /// did not happen and never will, so all before it can be undone. Refused: it had happened, so the saga goes on. A step
    /// before the pivot is settled by the pivot's command too, because an earlier owner may have been further than this one;
    /// nothing is ever compensated from unknown.
    pub settled_by: Option<Command>,
    /// Before, at, or after the point of no return.
    pub phase: Phase,
    /// The waits between tries while the outcome is unknown.
    pub retry: Backoff,
    /// How long it may stay unknown; for the step, for its settling and for its compensation each, from its first try, whoever
    /// owned the saga meanwhile.
    pub budget: Duration,
}

/// Steps in order.
pub type Definition = [Step];

const fn backoff(first_ms: u64, longest_ms: u64) -> Backoff {
    Backoff {
        first: Duration::from_millis(first_ms),
        longest: Duration::from_millis(longest_ms),
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The version of [`ORDER`], stored with each saga: a binary that does not know a live saga's version must not run it.
pub const ORDER_VERSION: u32 = 1;

/// The order saga. What follows its last step is the order's own record: confirmed, or rejected after the compensations.
#[rustfmt::skip]
pub const ORDER: &Definition = &[
    Step { command: Command::Reserve, compensation: Some(Command::Release), settled_by: None,                  phase: Phase::Compensable, retry: backoff(20, 1_000), budget: secs(10) },
    Step { command: Command::Charge,  compensation: Some(Command::Refund),  settled_by: Some(Command::Cancel), phase: Phase::Pivot,       retry: backoff(50, 2_000), budget: secs(20) },
    Step { command: Command::Commit,  compensation: Some(Command::Return),  settled_by: None,                  phase: Phase::Retriable,   retry: backoff(20, 2_000), budget: secs(60) },
];

/// The waits between tries of a command that could not be tried: a participant's disk is full, say. There is no budget,
/// because nothing can have happened, and it goes on by itself when there is room.
pub const STALL_RETRY: Backoff = backoff(100, 3_000);

/// The waits between tries to write the order's own last record; there is no budget, because there is nowhere else to write
/// that it was given up.
pub const RECORD_RETRY: Backoff = backoff(20, 2_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_pivot_and_the_phases_stand_in_order() {
        let order = |phase| match phase {
            Phase::Compensable => 0,
            Phase::Pivot => 1,
            Phase::Retriable => 2,
        };
        let phases: Vec<u8> = ORDER.iter().map(|step| order(step.phase)).collect();
        assert!(phases.is_sorted());
        assert_eq!(phases.iter().filter(|&&phase| phase == 1).count(), 1);
    }

    #[test]
    fn every_step_can_be_undone_and_the_pivot_alone_can_be_settled() {
        for step in ORDER {
            assert!(step.compensation.is_some());
            assert_eq!(step.settled_by.is_some(), step.phase == Phase::Pivot);
        }
    }
}
