//! What is wrong with a configuration, and where: every problem of a file and its flags, in the order of the
//! file.

use std::fmt;

/// The most problems that a report shows. A file that is no configuration at all has a problem in every line.
const MOST_SHOWN: usize = 20;

/// One problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where the problem is.
    pub location: Location,
    /// What was read, what was expected and what to do, in one line.
    pub message: String,
}

/// A place in the configuration. Problems are reported in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// The program itself: an application declared a section that contradicts itself.
    Program,
    /// A character of the file.
    File {
        /// The line, counted from 1.
        line: usize,
        /// The character of the line, counted from 1.
        column: usize,
        /// The name of the file, as the person wrote it.
        name: String,
    },
    /// The value of this flag.
    Flag(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Program => f.write_str("a bug in this program"),
            Location::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Location::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// Every problem of one configuration; at least one. It is displayed as one line per problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(Vec<ConfigProblem>);

impl ConfigProblems {
    /// The problems, sorted by their place, each once.
    pub(super) fn of(mut list: Vec<ConfigProblem>) -> ConfigProblems {
        list.sort_by(|one, other| one.location.cmp(&other.location));
        list.dedup();
        ConfigProblems(list)
    }

    /// Every problem, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[ConfigProblem] {
        &self.0
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MOST_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
