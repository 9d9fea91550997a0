//! What a key of the configuration is: its kind with its bounds, its default, what it is for, and whether a reload changes it.
//! An application declares its own sections with the same words and gets the same errors, listing and example for them.

use std::fmt;
use std::time::Duration;

use super::settings::MOST_WORKERS;
use super::{duration, size};

/// One section of the file, `[name]`.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// As it stands between the brackets.
    pub name: &'static str,
    /// What it is about, in one line.
    pub doc: &'static str,
    /// Every key it may hold, each once.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it stands before the equals sign.
    pub name: &'static str,
    /// What may stand behind it.
    pub kind: Kind,
    /// The value when nobody says anything, as one would write it after a flag; `None` when there is none.
    pub default: Option<&'static str>,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Whether a reload can change it.
    pub reload: Reload,
}

/// Whether a reload can change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new generation has the new value.
    Applies,
    /// Only a restart of the master does: a reload that changes it is refused, naming it.
    Refused,
}

/// What may stand behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds.
    Number {
        /// The least that is possible.
        least: u64,
        /// The most that is possible, at most `i64::MAX`.
        most: u64,
    },
    /// A duration with its unit, `"250ms"`.
    Duration {
        /// The least that is possible.
        least: Duration,
        /// The most that is possible.
        most: Duration,
    },
    /// A size with its unit, `"16KiB"`; the application reads it as a number of bytes.
    Size {
        /// The least number of bytes that is possible.
        least: u64,
        /// The most that is possible, at most `i64::MAX`.
        most: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text that is not empty and of one line.
    Text,
    /// A path, relative to the directory the master was started in.
    Path,
    /// A file mode as chmod has it, `"0660"`.
    Mode,
    /// `"auto"` or a number of workers.
    Workers,
    /// A list of addresses to listen on, no two alike.
    Addresses,
    /// One address to listen on.
    Address,
}

impl Key {
    /// A key that a reload changes.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
        Key {
            name,
            kind,
            default: Some(default),
            doc,
            reload: Reload::Applies,
        }
    }

    /// A key that is not set unless someone sets it.
    #[must_use]
    pub const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Key {
        Key {
            name,
            kind,
            default: None,
            doc,
            reload: Reload::Applies,
        }
    }

    /// The same key, but only a restart of the master changes it.
    #[must_use]
    pub const fn fixed(self) -> Key {
        Key {
            reload: Reload::Refused,
            ..self
        }
    }
}

impl Kind {
    /// A duration between `least_ms` and `most_ms` milliseconds.
    #[must_use]
    pub const fn duration(least_ms: u64, most_ms: u64) -> Kind {
        Kind::Duration {
            least: Duration::from_millis(least_ms),
            most: Duration::from_millis(most_ms),
        }
    }

    /// A whole number between `least` and `most`.
    #[must_use]
    pub const fn number(least: u64, most: u64) -> Kind {
        Kind::Number { least, most }
    }

    /// A size between `least` and `most` bytes.
    #[must_use]
    pub const fn size(least: u64, most: u64) -> Kind {
        Kind::Size { least, most }
    }
}

/// What was expected, as errors and the example say it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Switch => f.write_str("true or false"),
            Kind::Number { least, most } => write!(f, "a whole number from {least} to {most}"),
            Kind::Duration { least, most } => {
                let (least, most) = (duration::format(*least), duration::format(*most));
                write!(f, "a duration from \"{least}\" to \"{most}\"")
            }
            Kind::Size { least, most } => {
                write!(
                    f,
                    "a size from \"{}\" to \"{}\"",
                    size::format(*least),
                    size::format(*most)
                )
            }
            Kind::Word(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Kind::Text => f.write_str("a text of one line that is not empty"),
            Kind::Path => f.write_str("a path that is not empty"),
            Kind::Mode => f.write_str("a file mode in octal, from \"0000\" to \"0777\""),
            Kind::Workers => write!(f, "\"auto\" or a whole number from 1 to {MOST_WORKERS}"),
            Kind::Address => f.write_str("an address, as in \"127.0.0.1:9900\" or \"unix:/run/x.sock\""),
            Kind::Addresses => {
                f.write_str("a list of addresses, as in [\"127.0.0.1:8080\", \"unix:/run/x.sock\"]")
            }
        }
    }
}
