//! The flags that set a configuration key. The key table says what each may hold and means.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{Key, Kind, Overrides, Value, keys};

/// One flag and the key it sets.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// The flag's name, without the two dashes.
    pub long: &'static str,
    /// The key that the flag sets, as `section.key`.
    pub key: &'static str,
    /// The placeholder for its value in the help; of a switch, what the flag sets.
    pub value: &'static str,
    /// What the help says, when that is not what the key means.
    help: Option<&'static str>,
}

/// Every flag of a command that serves, in the order of the help.
pub const FLAGS: &[Flag] = &[
    Flag::new("workers", "cluster.workers", "N|auto"),
    Flag::new("bind", "cluster.bind", "ADDR"),
    Flag::new("admin", "cluster.admin", "ADDR"),
    Flag::new("data-dir", "cluster.data_dir", "DIR"),
    Flag::new("run-dir", "cluster.run_dir", "DIR"),
    Flag::new("pid-file", "cluster.pid_file", "FILE"),
    Flag::new("user", "cluster.user", "USER"),
    Flag::new("group", "cluster.group", "GROUP"),
    Flag::new("log-format", "log.format", "auto|text|json"),
    Flag::new("access-log", "log.access", "true"),
];

/// The flags that `run` has beside those of [`FLAGS`].
pub const RUN_FLAGS: &[Flag] = &[
    Flag::new("listen", "run.listen", "auto|fds|node|reuseport"),
    Flag::new("ready", "run.ready", "RULE"),
    Flag::new("probe", "run.probe", "http:/PATH"),
    Flag::new("stuck-timeout", "run.stuck_timeout", "TIME"),
    Flag::new("stop-signal", "run.stop_signal", "SIGNAL"),
    Flag::new("no-preload", "run.preload", "false")
        .explained("Load no script into Node programs: keep-alive clients then notice a reload"),
    Flag::new("directory", "run.directory", "DIR"),
    Flag::new("env", "run.env", "NAME=VALUE").explained(
        "A variable for the program, beside those it inherits and those of the file; may be repeated",
    ),
    Flag::new("watch", "run.watch", "PATH").explained(
        "Reload when this file or directory changes, seen from --directory, or that directory itself when no \
         =PATH is named; for development; may be repeated",
    ),
    Flag::new("log-file", "run.log_file", "FILE"),
];

/// What `--watch` alone watches: the directory in which the program starts.
const WATCHED: &str = ".";

impl Flag {
    const fn new(long: &'static str, key: &'static str, value: &'static str) -> Flag {
        Flag {
            long,
            key,
            value,
            help: None,
        }
    }

    const fn explained(self, help: &'static str) -> Flag {
        Flag {
            help: Some(help),
            ..self
        }
    }

    fn key(self) -> &'static Key {
        let known = self.key.split_once('.').and_then(|(section, key)| {
            keys::SECTIONS
                .iter()
                .find(|known| known.name == section)?
                .key(key)
        });
        known.expect("every flag sets a key of the supervisor's own table, which a test proves")
    }

    /// The flag as clap knows it, for a command that serves, or for `run`.
    fn arg(self, of_run: bool) -> Arg {
        let key = self.key();
        let help = self
            .help
            .map_or_else(|| help(key, self.default(of_run)), str::to_owned);
        let arg = Arg::new(self.long).long(self.long).help(help);
        match key.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue),
            Kind::Addresses | Kind::Variables | Kind::Assignments => arg
                .action(ArgAction::Append)
                .value_name(self.value)
                .value_parser(checked(key.kind)),
            // Only behind an equals sign, or the program after the flag would be taken for its path.
            Kind::Paths => arg
                .action(ArgAction::Append)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(WATCHED)
                .value_name(self.value)
                .value_parser(checked(key.kind)),
            Kind::Number { .. }
            | Kind::Duration { .. }
            | Kind::Size { .. }
            | Kind::Word(_)
            | Kind::Text
            | Kind::Path
            | Kind::Mode
            | Kind::Address
            | Kind::Workers
            | Kind::Command
            | Kind::ReadyRule
            | Kind::HttpPath
            | Kind::StopSignal => arg.value_name(self.value).value_parser(checked(key.kind)),
        }
    }

    fn default(self, of_run: bool) -> Option<&'static str> {
        let mut others = keys::RUN_DEFAULTS.iter();
        let other = others.find(|(section, key, _)| self.key.split_once('.') == Some((section, key)));
        match other {
            Some((_, _, default)) if of_run => Some(*default).filter(|default| !default.is_empty()),
            Some(_) | None => self.key().default,
        }
    }

    /// The texts that the flag gave for its key, one after the other.
    fn given(self, matches: &ArgMatches) -> Vec<String> {
        let kind = self.key().kind;
        if kind == Kind::Switch {
            let given = matches.get_flag(self.long).then(|| self.value.to_owned());
            return given.into_iter().collect();
        }
        let values = matches.get_many::<String>(self.long).into_iter().flatten();
        let values: Vec<String> = values.cloned().collect();
        match kind {
            _ if values.is_empty() => Vec::new(),
            Kind::Assignments => values,
            Kind::Paths => vec![Value::Texts(values).literal()],
            _ => vec![values.join(",")],
        }
    }
}

/// Every flag of a command that serves.
pub fn serve() -> impl Iterator<Item = Arg> {
    FLAGS.iter().map(|flag| flag.arg(false)).chain([set()])
}

/// Every flag of `run`, and the program with its arguments.
pub fn run() -> impl Iterator<Item = Arg> {
    let flags = FLAGS.iter().chain(RUN_FLAGS);
    flags
        .map(|flag| flag.arg(true))
        .chain([set(), program().trailing_var_arg(true)])
}

/// The name under which clap keeps the program that `run` runs.
const PROGRAM: &str = "PROGRAM";

/// The program and its arguments, whatever they look like.
pub fn program() -> Arg {
    Arg::new(PROGRAM)
        .num_args(0..)
        .value_parser(clap::value_parser!(String))
        .help("The program and its arguments; needed unless the configuration has [run] command")
}

fn help(key: &Key, default: Option<&str>) -> String {
    let doc = key.doc.trim_end_matches('.');
    let repeated = match key.kind {
        Kind::Addresses | Kind::Variables => "; may be repeated",
        _ => "",
    };
    match default {
        Some(default) if key.kind != Kind::Switch => format!("{doc}{repeated} [default: {default}]"),
        Some(_) | None => format!("{doc}{repeated}"),
    }
}

/// A wrong value is an error of usage, reported before any file is read.
fn checked(kind: Kind) -> ValueParser {
    ValueParser::from(move |text: &str| match Value::from_text(kind, text) {
        Ok(_) => Ok(text.to_owned()),
        Err(refusal) => {
            let hint = refusal.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Err(format!("expected {kind}{hint}"))
        }
    })
}

/// `--set SECTION.KEY=VALUE`, for the keys that have no flag of their own.
#[must_use]
pub fn set() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("SECTION.KEY=VALUE")
        .action(ArgAction::Append)
        .value_parser(|text: &str| {
            text.split_once('=')
                .filter(|(key, _)| key.contains('.'))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .ok_or("expected SECTION.KEY=VALUE, as in log.level=debug")
        })
        .help("Set any key over the configuration file; may be repeated")
}

/// Every value that the command line gave: the flags in the table's order, `--set`, the program.
#[must_use]
pub fn overrides(matches: &ArgMatches) -> Overrides {
    let mut overrides = Overrides::default();
    // Asked of the ids that have a value: without debug assertions, clap takes any id for one that it knows.
    let has = |flag: &&Flag| matches.ids().any(|id| id == flag.long);
    for flag in FLAGS.iter().chain(RUN_FLAGS).filter(has) {
        for text in flag.given(matches) {
            overrides.push(format!("--{}", flag.long), flag.key, text);
        }
    }
    for (key, value) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
        overrides.push(format!("--set {key}"), key, value);
    }
    let command = words(matches);
    if !command.is_empty() {
        overrides.push(PROGRAM, "run.command", Value::Texts(command).literal());
    }
    overrides
}

/// The program and its arguments, if the command line names one.
fn words(matches: &ArgMatches) -> Vec<String> {
    let words = matches.try_get_many::<String>(PROGRAM).ok().flatten();
    words.into_iter().flatten().cloned().collect()
}
