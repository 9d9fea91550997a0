//! The flags of an application beside those of the supervisor. This module knows no flag.

/// Adds flags to a command of the command line.
pub(crate) type AddFlags = fn(clap::Command) -> clap::Command;

/// Why an application cannot have its own flags.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The application never said which flags it has.
    #[error("this program has declared no flags of its own, expected `App::flags`")]
    NotDeclared,
    /// clap refuses the values.
    #[error(transparent)]
    Refused(#[from] clap::Error),
}
