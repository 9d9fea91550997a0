//! The command line of any program under supervision: `serve`, which is also meant when no command is named,
//! `check`, the commands that ask a running master, and completions.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::request::{self, MasterRequest};
use super::tips::with_tip;
use super::{AppCommand, Program, flags, help};
use crate::master::launch::{Launch, RunUse};

/// The command that runs a program of the user's.
const RUN: &str = "run";

/// The name under which clap keeps the arguments of an application's command.
const ARGUMENTS: &str = "ARGUMENTS";

/// A parsed command line.
#[derive(Clone, Debug)]
pub enum CommandLine {
    /// Start a master.
    Serve(Launch),
    /// Read the configuration; print every value and where it comes from.
    Check(Launch),
    /// Print every key with its default as a configuration file.
    Keys,
    /// Ask a running master.
    AskMaster(MasterRequest),
    /// Print the completions for a shell.
    Completions(Shell),
    /// Print the manual page of the command with these words.
    Manual(Vec<String>),
    /// Write the manual pages of all commands to this directory.
    WriteManual(PathBuf),
    /// Run a command of the application with these arguments.
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
    with_serve_flags(program, Command::new(program.name))
        .bin_name(program.name)
        .version(program.version)
        .about(program.about)
        .args_conflicts_with_subcommands(true)
        .subcommand(with_serve_flags(
            program,
            Command::new("serve").about("Start the cluster; also meant when no command is named"),
        ))
        .subcommands(program.runs_programs.then(|| run(program)))
        .subcommand(
            with_serve_flags(program, Command::new("check").about(check))
                .arg(keys)
                .args(program.runs_programs.then(|| flags::program().last(true))),
        )
        .subcommands(request::commands())
        .subcommand(completions())
        .subcommand(manual_pages())
        .subcommands(program.commands.iter().map(app_command))
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

fn manual_pages() -> Command {
    let dir = Arg::new("dir")
        .long("dir")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .conflicts_with("command")
        .help("Write the pages of all commands to this directory, such as /usr/local/share/man/man1");
    let command = Arg::new("command")
        .value_name("COMMAND")
        .num_args(0..)
        .help("The command whose page is printed; the page of the program itself if none is named");
    Command::new("man")
        .about("Print a manual page (`man status | man -l -` shows it), or write those of all commands")
        .args([dir, command])
}

fn manual(matches: &ArgMatches) -> CommandLine {
    match matches.get_one::<PathBuf>("dir") {
        Some(dir) => CommandLine::WriteManual(dir.clone()),
        None => CommandLine::Manual(
            matches
                .get_many("command")
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        ),
    }
}

/// A command of the application: its arguments are passed on unchanged.
fn app_command(command: &AppCommand) -> Command {
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

fn app_command_line(program: &Program, command: AppCommand, matches: &ArgMatches) -> CommandLine {
    let arguments = matches.get_many::<OsString>(ARGUMENTS).into_iter().flatten();
    let name = OsString::from(format!("{} {}", program.name, command.name));
    CommandLine::App(command, std::iter::once(name).chain(arguments.cloned()).collect())
}

/// `help COMMAND …` of a command of the application, which alone knows its subcommands.
fn help_of_app_command(program: &Program, args: &[OsString]) -> Option<CommandLine> {
    let [_, help, name, rest @ ..] = args else {
        return None;
    };
    let command = program.commands.iter().find(|command| *name == *command.name)?;
    (help == "help").then(|| {
        let name = OsString::from(format!("{} {}", program.name, command.name));
        let arguments = std::iter::once(name).chain(rest.iter().cloned());
        CommandLine::App(*command, arguments.chain([OsString::from("--help")]).collect())
    })
}

/// Adds every flag that says how to serve.
fn with_serve_flags(program: &Program, command: Command) -> Command {
    let command = match program.flags {
        Some(add) => add(command),
        None => command,
    };
    with_reference(command.arg(config()).args(flags::serve()))
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read this configuration (TOML); flags win over it")
}

fn with_reference(command: Command) -> Command {
    command
        .after_help("Signals, exit codes, files and environment: see --help.")
        .after_long_help(help::after())
}

/// The command that runs a program of the user's. It takes none of the application's own flags, because the
/// application is not booted.
fn run(program: &Program) -> Command {
    let about = "Start a cluster whose workers run a program of yours, whatever it is written in";
    let usage = format!("{} run [OPTIONS] -- PROGRAM [ARGS]...", program.name);
    let command = Command::new(RUN).about(about).override_usage(usage);
    with_reference(command.arg(config()).args(flags::run()))
}

/// The mistakes in a command line of `run` that clap cannot see.
fn check_run(program: &Program, args: &[OsString], launch: &Launch) -> Result<(), clap::Error> {
    let refused = |kind, message: String| {
        let mut run = run(program).bin_name(format!("{} {RUN}", program.name));
        Err(run.error(kind, message))
    };
    if let Some(path) = path_behind_watch(args) {
        return refused(
            ErrorKind::ArgumentConflict,
            format!("{path:?} behind --watch would be taken for the program: write --watch={path}"),
        );
    }
    let named = launch.overrides.list().iter().any(|one| one.key == "run.command");
    if named || launch.config.is_some() {
        return Ok(());
    }
    refused(
        ErrorKind::MissingRequiredArgument,
        format!(
            "there is no program to run: write it behind --, as in `{} run -- node app.js`, or name a \
             configuration with --config whose section [run] has a command",
            program.name
        ),
    )
}

/// The PATH of `--watch PATH -- PROGRAM`.
fn path_behind_watch(args: &[OsString]) -> Option<&str> {
    let separator = args.iter().position(|word| word == "--")?;
    let [.., watch, path] = &args[..separator] else {
        return None;
    };
    let path = path.to_str().filter(|path| !path.starts_with('-'));
    path.filter(|_| watch == "--watch")
}

/// Parses the arguments, the program's own name first.
///
/// # Errors
/// A mistake of usage, or the help or version that was asked for.
pub fn parse(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(help) = help_of_app_command(program, &args) {
        return Ok(help);
    }
    let tip = |error| with_tip(error, program.runs_programs);
    let matches = command(program).try_get_matches_from(&args).map_err(tip)?;
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = program.commands.iter().find(|command| command.name == name)
    {
        return Ok(app_command_line(program, *command, matches));
    }
    Ok(match matches.subcommand() {
        Some(("check", check)) if check.get_flag("keys") => CommandLine::Keys,
        Some(("check", check)) => CommandLine::Check(launch(program, check, program.may_run())),
        Some((RUN, matches)) => {
            let launch = launch(program, matches, RunUse::Demanded);
            check_run(program, &args, &launch)?;
            CommandLine::Serve(launch)
        }
        Some(("completions", matches)) => {
            CommandLine::Completions(matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash))
        }
        Some(("man", matches)) => manual(matches),
        Some((name, matches)) => match request::parse(name, matches) {
            Some(request) => CommandLine::AskMaster(request),
            None => CommandLine::Serve(launch(program, matches, program.may_run())),
        },
        None => CommandLine::Serve(launch(program, &matches, program.may_run())),
    })
}

/// The values of the flags of a command line that serves, for a worker of its cluster.
///
/// # Errors
/// When the command line cannot be parsed.
pub fn serve_flags(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, clap::Error> {
    let mut matches = command(program).try_get_matches_from(args)?;
    let serve = matches.remove_subcommand().map(|(_serve, matches)| matches);
    Ok(serve.unwrap_or(matches))
}

fn launch(program: &Program, matches: &ArgMatches, run: RunUse) -> Launch {
    Launch {
        program: program.name,
        version: program.version,
        sections: program.sections,
        config: matches.get_one::<PathBuf>("config").cloned(),
        overrides: flags::overrides(matches),
        check: program.check,
        run,
    }
}
