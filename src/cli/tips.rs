//! Tips beside clap's words, for commands and flags that people bring along from other programs. Pure.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is typed, and what does it here.
const COMMANDS: &[(&str, &str)] = &[
    ("ps", "`status` lists the workers, `top` watches them"),
    ("list", "`status` lists the workers, `top` watches them"),
    ("ls", "`status` lists the workers, `top` watches them"),
    (
        "logs",
        "the log is the stderr of `serve`; under systemd: journalctl -u UNIT",
    ),
    (
        "log",
        "the log is the stderr of `serve`; under systemd: journalctl -u UNIT",
    ),
    ("start", "`serve` starts a cluster, in the foreground"),
    (
        "kill",
        "`stop` ends the cluster, `restart SLOT` replaces one worker",
    ),
];

const FLAGS: &[(&str, &str)] = &[
    (
        "--port",
        "--bind 127.0.0.1:PORT, or --bind 0.0.0.0:PORT for other machines",
    ),
    (
        "-p",
        "--bind 127.0.0.1:PORT, or --bind 0.0.0.0:PORT for other machines",
    ),
    ("--host", "--bind IP:PORT"),
    ("-b", "--bind IP:PORT"),
    ("-w", "--workers N"),
    ("-i", "--workers N"),
    ("-c", "--config FILE"),
    (
        "--daemon",
        "a service manager keeps it in the background; see docs/how-to/deploy.md",
    ),
    (
        "--daemonize",
        "a service manager keeps it in the background; see docs/how-to/deploy.md",
    ),
];

/// The same error with a tip of ours in place of the nearest name, where there is one.
pub(super) fn with_tip(mut error: clap::Error) -> clap::Error {
    let (kind, known) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, COMMANDS),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, FLAGS),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else {
        return error;
    };
    let typed = typed.split(['=', ' ']).next().unwrap_or_default();
    let Some((_, tip)) = known.iter().find(|(name, _)| *name == typed) else {
        return error;
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::SuggestedArg);
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![(*tip).into()]),
    );
    error
}
