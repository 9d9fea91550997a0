//! The commands that ask a running master: their flags, and the requests that they stand for. It must not
//! know how the answer is obtained or printed.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::locate::MasterLocation;
use crate::base::ids::Slot;
use crate::control::{ControlCommand, ControlRequest};

/// One such command as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterRequest {
    /// Where the master is found.
    pub location: MasterLocation,
    /// Whether the answer is printed as JSON.
    pub json: bool,
    /// What is asked, and how often.
    pub kind: RequestKind,
}

/// What is asked, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// One request, one answer.
    Once {
        /// The command to the master.
        command: ControlCommand,
        /// Whether to wait for the end of the command.
        wait: bool,
    },
    /// `status` once a second.
    Top {
        /// How often; without a limit when `None`.
        count: Option<u64>,
    },
    /// What the programs printed, once or again and again.
    Logs(LogsOptions),
    /// `status`, and what it means for a probe.
    Health {
        /// The question.
        probe: HealthProbe,
    },
}

/// Which lines `logs` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsOptions {
    /// The number of one slot, or all.
    pub slot: Option<Slot>,
    /// How many of the last lines are shown.
    pub lines: u32,
    /// Whether lines that are printed from now on are shown, too.
    pub follow: bool,
}

/// What `health` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthProbe {
    /// Whether the cluster takes requests: a worker serves, and no stop has begun.
    Ready,
    /// Whether the master answers, in whatever state it and its workers are.
    Live,
}

impl RequestKind {
    /// The request that is sent to the master.
    #[must_use]
    pub fn request(self) -> ControlRequest {
        match self {
            RequestKind::Once { command, wait } => ControlRequest {
                wait,
                ..ControlRequest::new(command)
            },
            RequestKind::Logs(LogsOptions { slot, lines, .. }) => {
                ControlRequest::new(ControlCommand::Logs { slot, lines })
            }
            RequestKind::Top { .. } | RequestKind::Health { .. } => {
                ControlRequest::new(ControlCommand::Status)
            }
        }
    }
}

/// The name and the purpose of each command; [`parse`] says what it stands for.
const COMMANDS: &[(&str, &str)] = &[
    ("status", "Show the master, its slots and their workers"),
    (
        "top",
        "Show the same again every second; on a terminal in place (Ctrl-C ends it)",
    ),
    (
        "health",
        "Tell by the exit code whether the cluster takes requests, for health checks and probes",
    ),
    (
        "why",
        "Show how a slot's last workers ended, and everything that was seen of it",
    ),
    (
        "logs",
        "Show what the programs of `run` printed last, and with --follow what they print from now on",
    ),
    (
        "reload",
        "Read configuration and binary again and replace the workers one by one; wait for the verdict",
    ),
    (
        "rollback",
        "Return to the generation before this one, in the same way",
    ),
    (
        "upgrade",
        "Have the master run the binary that is on disk now, with the same workers and connections; wait \
         for the verdict",
    ),
    ("scale", "Have N workers"),
    (
        "restart",
        "Replace a slot's worker: another one is ready before it finishes and goes; fills a drained slot",
    ),
    (
        "drain",
        "Let a slot's worker finish and go; the slot stays empty until it is restarted",
    ),
    (
        "stop",
        "Stop the cluster gracefully, and wait until the master is gone",
    ),
];

/// The commands as clap knows them.
pub fn commands() -> impl Iterator<Item = Command> {
    COMMANDS
        .iter()
        .map(|&(name, about)| with_location(Command::new(name).about(about).args(own_args(name))))
}

fn slot_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| {
        "expected the number of one slot, counted from 0, as `status` lists them; `reload` replaces \
                      the workers of all slots"
            .to_owned()
    })
}

fn number_of_workers(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "expected how many workers there are to be, as in 4".to_owned())
}

fn own_args(name: &str) -> Vec<Arg> {
    let no_wait = Arg::new("no-wait")
        .long("no-wait")
        .action(ArgAction::SetTrue)
        .help("Do not wait for its end, which the master's log tells");
    let slot = Arg::new("slot")
        .value_name("SLOT")
        .required(true)
        .value_parser(slot_number)
        .help("The slot's number, from 0");
    match name {
        "why" => vec![slot],
        "logs" => vec![
            slot.required(false)
                .help("Of this slot alone; its number, from 0"),
            Arg::new("lines")
                .long("lines")
                .short('n')
                .value_name("LINES")
                .default_value("100")
                .value_parser(value_parser!(u32))
                .help("Begin with so many of the last lines; of each worker the newest 64 KiB are kept"),
            Arg::new("follow")
                .long("follow")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Go on with what is printed, until Ctrl-C or the end of the master"),
        ],
        "restart" | "drain" => vec![slot, no_wait],
        "reload" | "rollback" | "upgrade" => vec![no_wait],
        "scale" => vec![
            Arg::new("workers")
                .value_name("N")
                .required(true)
                .value_parser(number_of_workers)
                .help("How many; the master tells the bounds"),
            no_wait,
        ],
        "stop" => vec![
            Arg::new("now")
                .long("now")
                .action(ArgAction::SetTrue)
                .help("Kill the workers; what they are answering is cut"),
            no_wait,
        ],
        "top" => vec![
            Arg::new("count")
                .long("count")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("End after so many"),
        ],
        "health" => vec![
            Arg::new("ready")
                .long("ready")
                .action(ArgAction::SetTrue)
                .conflicts_with("live")
                .help("Healthy when a worker serves and no stop has begun; this is the default"),
            Arg::new("live")
                .long("live")
                .action(ArgAction::SetTrue)
                .help("Healthy when the master answers, even if it stops or no worker serves"),
        ],
        _status => Vec::new(),
    }
}

fn with_location(command: Command) -> Command {
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let json = match command.get_name() {
        "logs" => "Print each line as one line of JSON",
        _ => "Print the answer as one line of JSON",
    };
    let exit_codes = match command.get_name() {
        "logs" => {
            "Exit codes: 0 done, 4 no program runs there, 68 no master there; all of them: `help serve`."
        }
        "health" => "Exit codes: 0 healthy, 1 not healthy, 68 no master there; all of them: `help serve`.",
        _ => "Exit codes: 0 done, 4 refused, 5 backed out, 68 no master there; all of them: `help serve`.",
    };
    command
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help(json),
        )
        .arg(path("run-dir", "DIR", "The master's run directory"))
        .arg(path(
            "data-dir",
            "DIR",
            "Its data directory; the run directory is in it unless said otherwise",
        ))
        .arg(path(
            "config",
            "FILE",
            "Its configuration, which may name both directories",
        ))
        .after_help(exit_codes)
}

/// The request that was typed, if `name` is one of these commands.
#[must_use]
pub fn parse(name: &str, matches: &ArgMatches) -> Option<MasterRequest> {
    let slot = || Slot(matches.get_one::<u16>("slot").copied().unwrap_or_default());
    let command = match name {
        "status" => ControlCommand::Status,
        "why" => ControlCommand::Why { slot: slot() },
        "reload" => ControlCommand::Reload,
        "rollback" => ControlCommand::Rollback,
        "upgrade" => ControlCommand::Upgrade,
        "scale" => ControlCommand::Scale {
            to: matches.get_one::<u32>("workers").copied().unwrap_or_default(),
        },
        "restart" => ControlCommand::Restart { slot: slot() },
        "drain" => ControlCommand::Drain { slot: slot() },
        "stop" => ControlCommand::Stop {
            now: matches.get_flag("now"),
        },
        "logs" => {
            let options = LogsOptions {
                slot: matches.get_one("slot").copied().map(Slot),
                lines: matches.get_one("lines").copied().unwrap_or_default(),
                follow: matches.get_flag("follow"),
            };
            return Some(request(matches, RequestKind::Logs(options)));
        }
        "health" => {
            let probe = match matches.get_flag("live") {
                true => HealthProbe::Live,
                false => HealthProbe::Ready,
            };
            return Some(request(matches, RequestKind::Health { probe }));
        }
        "top" => {
            return Some(request(
                matches,
                RequestKind::Top {
                    count: matches.get_one("count").copied(),
                },
            ));
        }
        _other => return None,
    };
    let wait = !(command.ends_later() && matches.get_flag("no-wait"));
    Some(request(matches, RequestKind::Once { command, wait }))
}

fn request(matches: &ArgMatches, kind: RequestKind) -> MasterRequest {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    MasterRequest {
        location: MasterLocation {
            run_dir: path("run-dir"),
            data_dir: path("data-dir"),
            config: path("config"),
        },
        json: matches.get_flag("json"),
        kind,
    }
}
