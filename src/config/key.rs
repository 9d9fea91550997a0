//! What a key of the configuration is: its kind with its bounds, its default, its meaning, and whether a
//! reload changes it. An application declares its own sections in the same way. The program then checks,
//! lists and documents them like its own.
//!
//! ```
//! use cluster::config::{Key, Kind, Section};
//!
//! const GREETING: Section = Section {
//!     name: "greeting",
//!     doc: "What the visitors read.",
//!     keys: &[
//!         Key::new("text", Kind::Text, "hello", "The first line of every answer."),
//!         Key::new("delay", Kind::duration(0, 60_000), "0s", "How long every answer waits."),
//!         Key::unset("template", Kind::Path, "A file with the page; a built-in page when not set.").fixed(),
//!     ],
//! };
//! assert_eq!(GREETING.key("delay").map(|key| key.default), Some(Some("0s")));
//! ```

use std::fmt;
use std::time::Duration;

use super::run::StopSignal;
use super::settings::MOST_WORKERS;
use super::{duration, size};

/// One section of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The name that stands between the brackets.
    pub name: &'static str,
    /// What the section is about, in one line.
    pub doc: &'static str,
    /// Every key of the section, each once.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of that name, if the section has one.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name that stands before the equals sign.
    pub name: &'static str,
    /// The kind of value that the key takes.
    pub kind: Kind,
    /// The value of a key that is not set, written as after a flag; `None` for a key without a default.
    pub default: Option<&'static str>,
    /// What the key does, in one line.
    pub doc: &'static str,
    /// Whether a reload can change the value.
    pub reload: Reload,
}

/// Whether a reload can change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// A reload changes the value: the new generation has the new one.
    Applies,
    /// Only a restart of the master changes the value. A reload with another value is refused, and the
    /// message names the key.
    Refused,
}

/// The kind of value that a key takes, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A switch, `true` or `false`.
    Switch,
    /// A whole number within bounds.
    Number {
        /// The least number that is possible.
        least: u64,
        /// The largest number that is possible, at most `i64::MAX`.
        most: u64,
    },
    /// A duration with its unit, `"250ms"`.
    Duration {
        /// The shortest duration that is possible.
        least: Duration,
        /// The longest duration that is possible.
        most: Duration,
    },
    /// A size with its unit, `"16KiB"`; the application reads it as a number of bytes.
    Size {
        /// The least number of bytes that is possible.
        least: u64,
        /// The largest number of bytes that is possible, at most `i64::MAX`.
        most: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text of one line that is not empty.
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
    /// A list of names of environment variables; a `*` at the end of a name stands for any rest.
    Variables,
    /// A list: a program and its arguments.
    Command,
    /// A table of environment variables and their values.
    Assignments,
    /// A list of paths.
    Paths,
    /// When a program is ready, as [`super::ReadyRule`] reads it.
    ReadyRule,
    /// What is asked of a program, `"http:/PATH"`.
    HttpPath,
    /// A signal that asks a program to end, `"SIGTERM"`.
    StopSignal,
}

impl Key {
    /// A key with a default, which a reload changes.
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

    /// A key without a default, which a reload changes.
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

    /// The same key, except that only a restart of the master changes it.
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

/// What is expected, as errors and the example file say it.
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
            Kind::Variables => f.write_str("a list of names of variables, as in [\"STRIPE_KEY\", \"AWS_*\"]"),
            Kind::Command => f.write_str("a program and its arguments, as in [\"node\", \"app.js\"]"),
            Kind::Assignments => f.write_str("variables, as in { NODE_ENV = \"production\" }"),
            Kind::Paths => f.write_str("a list of paths, as in [\"src\", \"config.json\"]"),
            Kind::ReadyRule => f.write_str(
                "\"auto\", \"notify\", \"tcp\", \"http:/PATH\", \"log:REGEX\" or a delay such as \"delay:5s\"",
            ),
            Kind::HttpPath => f.write_str("a path that can be asked, as in \"http:/healthz\""),
            Kind::StopSignal => {
                let names: Vec<&str> = StopSignal::ALL.iter().map(|signal| signal.as_str()).collect();
                write!(f, "a signal, one of {}", names.join(", "))
            }
        }
    }
}
