//! The saga of an order as data: commands, compensations, how an unknown outcome is settled, retries and budgets. It must not know
//! who carries the commands out.

use std::time::Duration;

use crate::base::backoff::Backoff;

/// A command to a participant. Each is idempotent per order: sent again, it gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SagaCommand {
    /// Inventory holds the goods for the order.
    Reserve,
    /// Inventory lets go of the goods that it holds. When it holds none it leaves a tombstone, so that a late reserve is refused.
    Release,
    /// Payments takes the money.
    Charge,
    /// Payments makes sure that no money was taken and none will be. Refused when money was taken.
    Cancel,
    /// The goods that inventory holds leave the shelf.
    Commit,
    /// Inventory puts goods that left the shelf back, or lets go of those that it only holds.
    Return,
    /// Payments makes sure that no money stands: it cancels the charge, or gives back what was taken.
    Refund,
}

impl SagaCommand {
    /// Every command.
    pub const ALL: [SagaCommand; 7] = [
        SagaCommand::Reserve,
        SagaCommand::Release,
        SagaCommand::Charge,
        SagaCommand::Cancel,
        SagaCommand::Commit,
        SagaCommand::Return,
        SagaCommand::Refund,
    ];

    /// The command's name in records and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SagaCommand::Reserve => "reserve",
            SagaCommand::Release => "release",
            SagaCommand::Charge => "charge",
            SagaCommand::Cancel => "cancel",
            SagaCommand::Commit => "commit",
            SagaCommand::Return => "return",
            SagaCommand::Refund => "refund",
        }
    }

    /// The command with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<SagaCommand> {
        SagaCommand::ALL
            .into_iter()
            .find(|command| command.name() == name)
    }
}

/// On which side of the point of no return a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPhase {
    /// The step may be refused, and is undone when a later step is refused.
    Compensable,
    /// The step may be refused; once it is done, the saga only goes forward.
    Pivot,
    /// The step comes after the pivot and is only retried.
    Retriable,
}

/// One step of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SagaStep {
    /// The command that does the step.
    pub command: SagaCommand,
    /// The command that undoes the step. A step before the pivot is undone when a later one is refused; every step is undone when
    /// a person gives up the order.
    pub compensation: Option<SagaCommand>,
    /// Of the pivot: the command that settles whether the pivot happened, once the outcome of the pivot or of a step before it
    /// stayed unknown past its budget. Done means that the pivot did not happen and never will, so that the steps before it can
    /// be undone. Refused means that it had happened, so that the saga goes on. An unknown step before the pivot is settled by
    /// the same command, because an earlier owner may have come further than this one. Nothing is ever compensated from unknown.
    pub settled_by: Option<SagaCommand>,
    /// Before, at, or after the point of no return.
    pub phase: StepPhase,
    /// The waits between tries while the outcome is unknown.
    pub retry: Backoff,
    /// How long the outcome may stay unknown, counted from the first try over all owners. The step, its settling and its
    /// compensation have this budget each.
    pub budget: Duration,
}

/// The steps of a saga, in order.
pub type SagaDefinition = [SagaStep];

const fn backoff(first_ms: u64, longest_ms: u64) -> Backoff {
    Backoff {
        first: Duration::from_millis(first_ms),
        longest: Duration::from_millis(longest_ms),
    }
}

/// The version of [`ORDER`]. It is stored with each saga: a program that does not know a live saga's version must not run it.
pub const ORDER_VERSION: u32 = 1;

/// The saga of an order. After its last step comes the last record of the order: confirmed, or rejected after the compensations.
pub const ORDER: &SagaDefinition = &[
    SagaStep {
        command: SagaCommand::Reserve,
        compensation: Some(SagaCommand::Release),
        settled_by: None,
        phase: StepPhase::Compensable,
        retry: backoff(20, 1_000),
        budget: Duration::from_secs(10),
    },
    SagaStep {
        command: SagaCommand::Charge,
        compensation: Some(SagaCommand::Refund),
        settled_by: Some(SagaCommand::Cancel),
        phase: StepPhase::Pivot,
        retry: backoff(50, 2_000),
        budget: Duration::from_secs(20),
    },
    SagaStep {
        command: SagaCommand::Commit,
        compensation: Some(SagaCommand::Return),
        settled_by: None,
        phase: StepPhase::Retriable,
        retry: backoff(20, 2_000),
        budget: Duration::from_secs(60),
    },
];

/// The waits between tries of a command that could not be tried, for example because a participant's disk is full. There is no
/// budget, because nothing can have happened; the saga goes on by itself when there is room.
pub const STALL_RETRY: Backoff = backoff(100, 3_000);

/// The waits between tries to write the last record of the order. There is no budget, because there is no other place to record
/// that the saga was given up.
pub const RECORD_RETRY: Backoff = backoff(20, 2_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_its_name() {
        for command in SagaCommand::ALL {
            assert_eq!(SagaCommand::from_name(command.name()), Some(command));
        }
        assert_eq!(SagaCommand::from_name("gift"), None);
    }

    #[test]
    fn there_is_one_pivot_and_the_phases_stand_in_order() {
        let order = |phase| match phase {
            StepPhase::Compensable => 0,
            StepPhase::Pivot => 1,
            StepPhase::Retriable => 2,
        };
        let phases: Vec<u8> = ORDER.iter().map(|step| order(step.phase)).collect();
        assert!(phases.is_sorted());
        assert_eq!(phases.iter().filter(|&&phase| phase == 1).count(), 1);
    }

    #[test]
    fn every_step_can_be_undone_and_the_pivot_alone_can_be_settled() {
        for step in ORDER {
            assert!(step.compensation.is_some());
            assert_eq!(step.settled_by.is_some(), step.phase == StepPhase::Pivot);
        }
    }
}
