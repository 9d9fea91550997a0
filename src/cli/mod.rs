//! Flags, exit codes, and what is printed. It knows what can be asked for and not how it is done: serving is handed in.

pub mod args;
pub mod flags;
pub mod help;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};

pub use crate::base::exit::Exit;
use crate::config::{Effective, Section, print};
use crate::master::cpus;
use crate::master::launch::{Check, Launch};
use args::Request;

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
        Answer::Say(text) => say(&text),
        Answer::Refuse(message) => {
            // When stderr is gone there is nobody left to tell; the exit code says it.
            let _ = writeln!(io::stderr(), "{message}");
            Exit::BadConfig
        }
        Answer::Clap(told) => {
            // A help text nobody reads to its end is no failure.
            let _ = told.print();
            if told.use_stderr() {
                Exit::Usage
            } else {
                Exit::Stopped
            }
        }
    }
}

/// What comes of a command line.
#[derive(Debug)]
enum Answer {
    /// The cluster starts.
    Serve(Launch, Box<Effective>),
    /// This is printed, and all is well.
    Say(String),
    /// The configuration is bad, and this says why.
    Refuse(String),
    /// An error of usage, or the help or version that was asked for.
    Clap(clap::Error),
}

fn answer(program: &Program, args: impl IntoIterator<Item = OsString>) -> Answer {
    let refuse = |error, next| {
        Answer::Refuse(format!(
            "{}: the configuration is refused{next}\n{error}",
            program.name
        ))
    };
    match args::parse(program, args) {
        Err(told) => Answer::Clap(told),
        Ok(Request::Keys) => Answer::Say(print::example(program.name, program.sections)),
        Ok(Request::Check(launch)) => match launch.load() {
            Ok(effective) => Answer::Say(checked(&launch, &effective)),
            Err(error) => refuse(error, ""),
        },
        Ok(Request::Serve(launch)) => match launch.load() {
            Ok(effective) => Answer::Serve(launch, Box::new(effective)),
            Err(error) => refuse(error, "; nothing was started"),
        },
    }
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

/// To stdout; that its reader went away is no failure of ours, that it is full is.
fn say(text: &str) -> Exit {
    match io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
    {
        Ok(()) => Exit::Stopped,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Stopped,
        Err(error) => {
            let _ = writeln!(io::stderr(), "failed to print to stdout: {error}");
            Exit::Failed
        }
    }
}
