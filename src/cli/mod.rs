//! Flags, exit codes, and what is printed. It knows what can be asked for and not how it is done: serving is handed in.

pub mod args;
pub mod find;
pub mod flags;
pub mod help;
pub mod render;
pub mod request;
mod run;
pub mod table;
#[cfg(test)]
mod tests;
mod top;

use std::ffi::OsString;

pub use crate::base::exit::Exit;
use crate::config::{Effective, Section, print};
use crate::master::launch::{Check, Launch};
use crate::master::{cpus, user};
use crate::observe;
pub use crate::worker::AppCommand;
use crate::worker::explain;
use args::Request;
use clap_complete::Shell;
use request::Errand;

/// What a program is called and owns.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in messages and help.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The sections of the configuration that are its own.
    pub sections: &'static [Section],
    /// Its own check of the settings.
    pub check: Option<Check>,
    /// Its own commands, beside the supervisor's.
    pub commands: &'static [AppCommand],
}

/// Understands `args` (the program's own name first) and does what is asked: `serve` becomes the master, with the launch and
/// the settings it was read as; everything else happens here.
pub fn run(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Launch, Effective) -> Exit,
) -> Exit {
    match answer(program, args) {
        Answer::Serve(launch, effective) => serve(launch, *effective),
        Answer::Say(text) => run::print(text.as_bytes()).exit(),
        Answer::Run(errand) => run::run(program.name, &errand),
        Answer::Own(command, arguments) => (command.run)(arguments),
        Answer::Refuse(message) => {
            observe::complain(&format!("{message}\n"));
            Exit::BadConfig
        }
        Answer::Clap(told) => explain(&told),
    }
}

/// What a command line that starts a master stands for, its configuration not read.
///
/// # Errors
/// When it is no such command line, in words.
pub fn launch(program: &Program, args: impl IntoIterator<Item = OsString>) -> Result<Launch, String> {
    match args::parse(program, args) {
        Ok(Request::Serve(launch)) => Ok(launch),
        Ok(_) => Err("the command line starts no master".to_owned()),
        Err(told) => Err(format!(
            "the command line is not understood: {}",
            told.to_string().lines().next().unwrap_or_default()
        )),
    }
}

/// What comes of a command line.
#[derive(Debug)]
enum Answer {
    /// The cluster starts.
    Serve(Launch, Box<Effective>),
    /// A running master is asked.
    Run(Errand),
    /// A command of the application's own.
    Own(AppCommand, Vec<OsString>),
    /// This is printed, and all is well.
    Say(String),
    /// The configuration is bad, and this says why.
    Refuse(String),
    /// An error of usage, or the help or version that was asked for.
    Clap(clap::Error),
}

fn answer(program: &Program, args: impl IntoIterator<Item = OsString>) -> Answer {
    let refuse = |error: String, next| {
        Answer::Refuse(format!(
            "{}: the configuration is refused{next}\n{error}",
            program.name
        ))
    };
    match args::parse(program, args) {
        Err(told) => Answer::Clap(told),
        Ok(Request::Errand(errand)) => Answer::Run(errand),
        Ok(Request::Completions(shell)) => Answer::Say(completions(program, shell)),
        Ok(Request::App(command, arguments)) => Answer::Own(command, arguments),
        Ok(Request::Keys) => Answer::Say(print::example(program.name, program.sections)),
        Ok(Request::Check(launch)) => match launch.load() {
            Ok(effective) => match user::look_up(&effective.settings.cluster) {
                Ok(()) => Answer::Say(checked(&launch, &effective)),
                Err(error) => refuse(error.to_string(), ""),
            },
            Err(error) => refuse(error.to_string(), ""),
        },
        Ok(Request::Serve(launch)) => match launch.load() {
            Ok(effective) => Answer::Serve(launch, Box::new(effective)),
            Err(error) => refuse(error.to_string(), "; nothing was started"),
        },
    }
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
