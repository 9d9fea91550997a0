//! What a saga's earlier owners spent of its budgets: how long each command was under way in them without a known outcome, and
//! could be tried. Measured by each owner's monotonic clock, so that no step of the wall clock and no time without an owner counts.

use std::time::Duration;

use super::definition::Command;

/// Time spent, by command; a command that is not there has its whole budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(Vec<(Command, Duration)>);

impl Spent {
    /// On that command.
    #[must_use]
    pub fn on(&self, command: Command) -> Duration {
        let of_it = self.0.iter().filter(|(known, _)| *known == command);
        of_it.fold(Duration::ZERO, |sum, (_, spent)| sum.saturating_add(*spent))
    }
}

impl FromIterator<(Command, Duration)> for Spent {
    fn from_iter<I: IntoIterator<Item = (Command, Duration)>>(spent: I) -> Spent {
        Spent(spent.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_owner_spent_is_added_up() {
        let seconds = Duration::from_secs;
        let spent = [(Command::Charge, 3), (Command::Reserve, 1), (Command::Charge, 4)];
        let spent: Spent = spent
            .map(|(command, secs)| (command, seconds(secs)))
            .into_iter()
            .collect();
        let on = [Command::Charge, Command::Reserve, Command::Commit].map(|command| spent.on(command));
        assert_eq!(on, [seconds(7), seconds(1), Duration::ZERO]);
    }
}
