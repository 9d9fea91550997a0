//! What is wrong with a configuration, and where: every problem of a file and its flags, in the order of their places.

use std::fmt;

/// No report is longer: a file that is no configuration at all has a problem in every line.
const MOST_SHOWN: usize = 20;

/// One problem: where it is, what was read, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The rest, in one line.
    pub message: String,
}

/// Where a problem is. Their order is the order problems are reported in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the program itself: an application declared a section that contradicts itself.
    Program,
    /// In the file, counted from 1; columns are characters.
    File {
        /// The line.
        line: usize,
        /// The character of that line.
        column: usize,
        /// The file, as it was named.
        name: String,
    },
    /// Behind this flag.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Program => f.write_str("a bug in this program"),
            Place::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Place::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every problem of one configuration, at least one, one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorted by place, each once.
    pub(super) fn of(mut list: Vec<Problem>) -> Problems {
        list.sort_by(|one, other| one.place.cmp(&other.place));
        list.dedup();
        Problems(list)
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
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
