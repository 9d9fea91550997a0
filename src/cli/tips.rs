//! Tips beside clap's words, for commands and flags that people bring along from other programs. Pure.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is typed, and what does it here.
const COMMANDS: &[(&str, &str)] = &[
    ("ps", "`status` lists the workers, `top` watches them"),
    ("list", "`status` lists the workers, `top` watches them"),
    ("ls", "`status` lists the workers, `top` watches them"),
    (
        "log",
        "the log is the stderr of `serve` and `run`, under systemd: journalctl -u UNIT; `logs` shows what the \
         program of `run` printed last",
    ),
    ("start", "`serve` starts a cluster, in the foreground"),
    (
        "kill",
        "`stop` ends the cluster, `restart SLOT` replaces one worker",
    ),
];

const RUN: &str = "`run -- PROGRAM` starts a cluster whose workers run a program of yours";

/// Programs that are named where a command stands, by people who forget `run`, and PM2's word for it.
const PROGRAMS: &[&str] = &[
    "node", "npm", "npx", "yarn", "pnpm", "tsx", "deno", "bun", "python", "python3", "uvicorn", "gunicorn",
    "ruby", "bundle", "puma", "go", "java", "php", "sh", "bash", "start", "exec",
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

/// The same error with a tip of ours in place of the nearest name, where there is one. Who types a program
/// where a command stands is told of `run`, if there is that command.
pub(super) fn with_tip(mut error: clap::Error, runs_programs: bool) -> clap::Error {
    let (kind, known) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, COMMANDS),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, FLAGS),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else {
        return error;
    };
    let typed = typed.split(['=', ' ']).next().unwrap_or_default();
    let of_program = runs_programs
        && kind == ContextKind::InvalidSubcommand
        && (PROGRAMS.contains(&typed) || typed.contains(['.', '/']));
    let known = known.iter().find(|(name, _)| *name == typed);
    let Some(tip) = of_program.then_some(RUN).or(known.map(|(_, tip)| *tip)) else {
        return error;
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}
