//! The command line: flags, exit codes, and what is printed. It knows what can be asked for and not how it is
//! done: the caller passes in the function that serves.

pub mod args;
mod exits;
pub mod flags;
mod health;
pub mod help;
pub mod locate;
mod logs;
mod logs_form;
pub mod manual;
mod output;
pub mod render;
pub mod request;
mod run;
#[cfg(test)]
mod run_tests;
mod screen;
pub mod table;
#[cfg(test)]
mod tests;
mod tips;
mod top;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

pub use crate::base::exit::Exit;
use crate::config::{Effective, LogFormat, Section, print};
use crate::master::launch::{Launch, RunUse, SettingsCheck};
use crate::master::{cpus, user};
use crate::observe;
pub use crate::worker::AppCommand;
use crate::worker::print_clap;
use args::CommandLine;
use clap_complete::Shell;
use output::print;
use request::MasterRequest;

/// A program under supervision, as its command line sees it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in messages and help.
    pub name: &'static str,
    /// What the program does, in one line.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The application's own sections of the configuration.
    pub sections: &'static [Section],
    /// The application's own check of the settings.
    pub check: Option<SettingsCheck>,
    /// The application's own commands.
    pub commands: &'static [AppCommand],
    /// Adds the application's own flags to a command that serves.
    pub flags: Option<fn(clap::Command) -> clap::Command>,
    /// Whether it has the command `run`, and its workers run what `run.command` names.
    pub runs_programs: bool,
}

impl Program {
    /// What `run.command` means to a command that serves.
    fn may_run(&self) -> RunUse {
        match self.runs_programs {
            true => RunUse::Possible,
            false => RunUse::Refused,
        }
    }
}

/// Parses `args` (the program's own name first) and carries out the command. `serve` is called to become the
/// master, with the launch and the settings that were read; every other command is carried out here.
pub fn run(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Launch, Effective) -> Exit,
) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    match action(program, args.clone()) {
        CliAction::Serve(launch, effective) => serve(launch, *effective),
        CliAction::Print(text) => print(text.as_bytes()).exit(),
        CliAction::AskMaster(request) => run::run(program.name, &request),
        CliAction::RunApp(command, arguments) => (command.run)(arguments),
        CliAction::WriteManual(dir) => match manual::write(program, &dir) {
            Ok(()) => Exit::Stopped,
            Err(error) => {
                observe::print_error(&format!("{}: {error}\n", program.name));
                Exit::Failed
            }
        },
        CliAction::Refuse(message) => {
            observe::print_error(&format!("{message}\n"));
            Exit::BadConfig
        }
        CliAction::RefuseStart(format, message) => {
            observe::print_fatal(format, &message);
            Exit::BadConfig
        }
        CliAction::Usage(error) => match usage::log_format(&args) {
            Some(format) if error.use_stderr() => {
                observe::print_fatal(format, &error.render().to_string());
                Exit::Usage
            }
            Some(_) | None => print_clap(&error),
        },
    }
}

/// Parses a command line that starts a master. The configuration is not read.
///
/// # Errors
/// When the command line cannot be parsed or starts no master, in words.
pub fn launch(program: &Program, args: impl IntoIterator<Item = OsString>) -> Result<Launch, String> {
    match args::parse(program, args) {
        Ok(CommandLine::Serve(launch)) => Ok(launch),
        Ok(_) => Err("the command line starts no master".to_owned()),
        Err(error) => Err(format!(
            "the command line cannot be parsed: {}",
            error.to_string().lines().next().unwrap_or_default()
        )),
    }
}

/// What a command line leads to.
#[derive(Debug)]
enum CliAction {
    /// Start the cluster.
    Serve(Launch, Box<Effective>),
    /// Ask a running master.
    AskMaster(MasterRequest),
    /// Run a command of the application.
    RunApp(AppCommand, Vec<OsString>),
    /// Print this text.
    Print(String),
    /// Write the manual pages to this directory.
    WriteManual(PathBuf),
    /// Say that the configuration is wrong, with this reason.
    Refuse(String),
    /// Refuse to start a master with this reason: the configuration is wrong. It is logged in this format.
    RefuseStart(LogFormat, String),
    /// Print a usage error, or the help or version that was asked for.
    Usage(clap::Error),
}

fn action(program: &Program, args: impl IntoIterator<Item = OsString>) -> CliAction {
    let refuse =
        |error: String| CliAction::Refuse(format!("{}: the configuration is refused\n{error}", program.name));
    match args::parse(program, args) {
        Err(error) => CliAction::Usage(error),
        Ok(CommandLine::AskMaster(request)) => CliAction::AskMaster(request),
        Ok(CommandLine::Completions(shell)) => CliAction::Print(completions(program, shell)),
        Ok(CommandLine::WriteManual(dir)) => CliAction::WriteManual(dir),
        Ok(CommandLine::Manual(words)) => match manual::page(program, &words) {
            Some(page) => CliAction::Print(page.text),
            None => CliAction::Usage(no_page(program, &words)),
        },
        Ok(CommandLine::App(command, arguments)) => CliAction::RunApp(command, arguments),
        Ok(CommandLine::Keys) => CliAction::Print(print::example(program.name, program.sections)),
        Ok(CommandLine::Check(launch)) => match launch.load() {
            Ok(effective) => match user::look_up(&effective.settings.cluster) {
                Ok(()) => CliAction::Print(checked(&launch, &effective)),
                Err(error) => refuse(error.to_string()),
            },
            Err(error) => refuse(error.to_string()),
        },
        Ok(CommandLine::Serve(launch)) => match launch.load() {
            Ok(effective) => CliAction::Serve(launch, Box::new(effective)),
            Err(error) => CliAction::RefuseStart(
                launch.log_format(),
                format!("the configuration is refused; nothing was started\n{error}"),
            ),
        },
    }
}

fn no_page(program: &Program, words: &[String]) -> clap::Error {
    args::command(program).error(
        clap::error::ErrorKind::InvalidValue,
        format!(
            "there is no command `{}`, so it has no manual page",
            words.join(" ")
        ),
    )
}

fn completions(program: &Program, shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::command(program), program.name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn checked(launch: &Launch, effective: &Effective) -> String {
    let read = launch
        .config
        .as_ref()
        .map_or("no file".to_owned(), |path| path.display().to_string());
    let decision = cpus::workers(&effective.settings);
    format!(
        "# Good: {read} and flags.\n# {}\n\n{}",
        decision.reasoning,
        print::effective(&effective.entries)
    )
}
