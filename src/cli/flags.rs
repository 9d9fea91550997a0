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
    /// The placeholder for its value in the help.
    pub value: &'static str,
}

/// Every such flag, in the order of the help.
pub const FLAGS: &[Flag] = &[
    Flag {
        long: "workers",
        key: "cluster.workers",
        value: "N|auto",
    },
    Flag {
        long: "bind",
        key: "cluster.bind",
        value: "ADDR",
    },
    Flag {
        long: "admin",
        key: "cluster.admin",
        value: "ADDR",
    },
    Flag {
        long: "data-dir",
        key: "cluster.data_dir",
        value: "DIR",
    },
    Flag {
        long: "run-dir",
        key: "cluster.run_dir",
        value: "DIR",
    },
    Flag {
        long: "pid-file",
        key: "cluster.pid_file",
        value: "FILE",
    },
    Flag {
        long: "user",
        key: "cluster.user",
        value: "USER",
    },
    Flag {
        long: "group",
        key: "cluster.group",
        value: "GROUP",
    },
    Flag {
        long: "log-format",
        key: "log.format",
        value: "auto|text|json",
    },
    Flag {
        long: "access-log",
        key: "log.access",
        value: "",
    },
];

impl Flag {
    fn key(self) -> &'static Key {
        let known = self.key.split_once('.').and_then(|(section, key)| {
            keys::SECTIONS
                .iter()
                .find(|known| known.name == section)?
                .key(key)
        });
        known.expect("every flag sets a key of the supervisor's own table, which a test proves")
    }

    /// The flag as clap knows it.
    #[must_use]
    pub fn arg(self) -> Arg {
        let key = self.key();
        let arg = Arg::new(self.long).long(self.long).help(help(key));
        match key.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue),
            Kind::Addresses | Kind::Variables => arg
                .action(ArgAction::Append)
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
            | Kind::Workers => arg.value_name(self.value).value_parser(checked(key.kind)),
        }
    }

    /// The value that was given, if any; several values become one list.
    fn given(self, matches: &ArgMatches) -> Option<String> {
        if self.key().kind == Kind::Switch {
            return matches.get_flag(self.long).then(|| "true".to_owned());
        }
        let values: Vec<&str> = matches
            .get_many::<String>(self.long)?
            .map(String::as_str)
            .collect();
        Some(values.join(","))
    }
}

fn help(key: &Key) -> String {
    let doc = key.doc.trim_end_matches('.');
    match (key.default, key.kind) {
        (None, _) | (_, Kind::Switch) => doc.to_owned(),
        (Some(default), Kind::Addresses | Kind::Variables) => {
            format!("{doc}; may be repeated [default: {default}]")
        }
        (Some(default), _) => format!("{doc} [default: {default}]"),
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

/// Every value that the flags gave, in the table's order, `--set` last.
#[must_use]
pub fn overrides(matches: &ArgMatches) -> Overrides {
    let mut overrides = Overrides::default();
    for flag in FLAGS {
        if let Some(text) = flag.given(matches) {
            overrides.push(format!("--{}", flag.long), flag.key, text);
        }
    }
    for (key, value) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
        overrides.push(format!("--set {key}"), key, value);
    }
    overrides
}
