//! A command that an application brings along, and what it says when there is nothing to be done. It must not know any command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use crate::base::exit::Exit;
use crate::observe;

/// A command that an application brings along: `NAME ARGUMENTS...`. What the arguments mean is its own affair, `--help` included.
#[derive(Clone, Copy, Debug)]
pub struct AppCommand {
    /// What is typed for it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Does it; the first argument is `PROGRAM NAME`, for its messages.
    pub run: fn(Vec<OsString>) -> Exit,
}

/// Prints what there is to say of arguments that stand for nothing to do, a mistake or the help that was asked for, and gives
/// back the code to end with.
#[must_use]
pub fn explain(told: &clap::Error) -> Exit {
    if !told.use_stderr() {
        // A help text nobody reads to its end is no failure.
        let _ = told.print();
        return Exit::Stopped;
    }
    if io::stderr().is_terminal() {
        // With clap's colours.
        let _ = told.print();
    } else {
        observe::complain(&told.render().to_string());
    }
    Exit::Usage
}

/// Says on stderr why it came to nothing, and ends all the same when nobody reads that.
pub fn complain(text: &str) {
    observe::complain(&format!("{text}\n"));
}
