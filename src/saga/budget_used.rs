//! How much of a saga's budgets its earlier owners used: for how long each command was under way without a known outcome and could
//! be tried. Each owner measures it by its monotonic clock, so that no step of the wall clock and no time without an owner counts.

use std::time::Duration;

use super::definition::SagaCommand;

/// The time used, by command and owner. A command that is not in it has its whole budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetUsed(Vec<(SagaCommand, Duration)>);

impl BudgetUsed {
    /// How much of the command's budget all owners in it used together.
    #[must_use]
    pub fn on(&self, command: SagaCommand) -> Duration {
        let entries = self.0.iter().filter(|(known, _)| *known == command);
        entries.fold(Duration::ZERO, |sum, (_, used)| sum.saturating_add(*used))
    }
}

impl FromIterator<(SagaCommand, Duration)> for BudgetUsed {
    fn from_iter<I: IntoIterator<Item = (SagaCommand, Duration)>>(used: I) -> BudgetUsed {
        BudgetUsed(used.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_all_owners_is_added_up() {
        let seconds = Duration::from_secs;
        let used = [
            (SagaCommand::Charge, 3),
            (SagaCommand::Reserve, 1),
            (SagaCommand::Charge, 4),
        ];
        let used: BudgetUsed = used
            .map(|(command, secs)| (command, seconds(secs)))
            .into_iter()
            .collect();
        let on =
            [SagaCommand::Charge, SagaCommand::Reserve, SagaCommand::Commit].map(|command| used.on(command));
        assert_eq!(on, [seconds(7), seconds(1), Duration::ZERO]);
    }
}
