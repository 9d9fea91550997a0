//! The command line of any program under supervision: `serve`, which is also meant when no command is named, `check`, the
//! commands that ask a running master, and completions.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::request::{self, Errand};
use super::{AppCommand, Program, flags, help};
use crate::master::launch::Launch;

/// Where clap keeps the arguments of an application's command.
const ARGUMENTS: &str = "ARGUMENTS";

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Become the master.
    Serve(Launch),
    /// Read the configuration, print what is in effect and who said so.
    Check(Launch),
    /// Print every key with its default as a configuration file.
    Keys,
    /// Ask a running master.
    Errand(Errand),
    /// Print a shell's completions.
    Completions(Shell),
    /// Run a command of the application's own with these arguments.
    App(AppCommand, Vec<OsString>),
}

/// The command line as clap knows it, for help texts and completions.
#[must_use]
pub fn command(program: &Program) -> Command {
    let check =
        "Read the configuration as serve would, print what is in effect and where each value comes from";
    let keys = Arg::new("keys")
        .long("keys")
        .action(ArgAction::SetTrue)
        .help("Print every key with its meaning, bounds and default, as a configuration file");
    serving(Command::new(program.name))
        .bin_name(program.name)
        .version(program.version)
        .about(program.about)
        .args_conflicts_with_subcommands(true)
        .subcommand(serving(
            Command::new("serve").about("Start the cluster; also meant when no command is named"),
        ))
        .subcommand(serving(Command::new("check").about(check)).arg(keys))
        .subcommands(request::commands())
        .subcommand(completions())
        .subcommands(program.commands.iter().map(foreign))
}

fn completions() -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("Which shell will read them");
    Command::new("completions")
        .about("Print what a shell needs to complete these commands")
        .arg(shell)
}

/// A command of the application's: its arguments are passed on as they are.
fn foreign(command: &AppCommand) -> Command {
    let arguments = Arg::new(ARGUMENTS)
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_parser(clap::value_parser!(OsString));
    Command::new(command.name)
        .about(command.about)
        .disable_help_flag(true)
        .arg(arguments)
}

fn passed_on(program: &Program, command: AppCommand, matches: &ArgMatches) -> Request {
    let arguments = matches.get_many::<OsString>(ARGUMENTS).into_iter().flatten();
    let name = OsString::from(format!("{} {}", program.name, command.name));
    Request::App(command, std::iter::once(name).chain(arguments.cloned()).collect())
}

/// A command with every flag that says how to serve.
fn serving(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read this configuration (TOML); flags win over it");
    command
        .arg(config)
        .args(flags::FLAGS.iter().map(|flag| flag.arg()))
        .arg(flags::set())
        .after_help("Signals, exit codes, files and environment: see --help.")
        .after_long_help(help::after())
}

/// Understands the arguments, the program's own name first.
///
/// # Errors
/// What clap has to say: a mistake, or the help or version that was asked for.
pub fn parse(program: &Program, args: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    let matches = command(program).try_get_matches_from(args)?;
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = program.commands.iter().find(|command| command.name == name)
    {
        return Ok(passed_on(program, *command, matches));
    }
    Ok(match matches.subcommand() {
        Some(("check", check)) if check.get_flag("keys") => Request::Keys,
        Some(("check", check)) => Request::Check(launch(program, check)),
        Some(("completions", asked)) => {
            Request::Completions(asked.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash))
        }
        Some((name, asked)) => match request::of(name, asked) {
            Some(errand) => Request::Errand(errand),
            None => Request::Serve(launch(program, asked)),
        },
        None => Request::Serve(launch(program, &matches)),
    })
}

fn launch(program: &Program, matches: &ArgMatches) -> Launch {
    Launch {
        program: program.name,
        version: program.version,
        sections: program.sections,
        config: matches.get_one::<PathBuf>("config").cloned(),
        overrides: flags::overrides(matches),
        check: program.check,
    }
}
