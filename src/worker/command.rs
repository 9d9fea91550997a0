//! A command that an application brings along, and how such a command reports a mistake. This module knows no
//! command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use crate::base::exit::Exit;
use crate::observe;

/// A command that an application brings along, typed as `PROGRAM NAME ARGUMENTS`. The command reads its
/// arguments itself, `--help` included.
///
/// ```
/// use cluster::base::exit::Exit;
/// use cluster::worker::AppCommand;
///
/// const COUNT: AppCommand = AppCommand {
///     name: "count",
///     about: "Count the visitors of yesterday",
///     arguments: None,
///     run: |arguments| {
///         println!("{} arguments", arguments.len() - 1);
///         Exit::Stopped
///     },
/// };
/// let app = cluster::App::new("greeting").commands(&[COUNT]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AppCommand {
    /// The name that is typed.
    pub name: &'static str,
    /// What the command does, in one line.
    pub about: &'static str,
    /// Its flags and arguments as clap knows them, for its manual page; `None` when it does not use clap.
    pub arguments: Option<fn() -> clap::Command>,
    /// The command itself. Its first argument is `PROGRAM NAME`, for its messages; the result is its exit
    /// code.
    pub run: fn(Vec<OsString>) -> Exit,
}

/// Prints what clap says about arguments: a mistake, or the help that was asked for. The result is the exit
/// code to end with.
#[must_use]
pub(crate) fn print_clap(found: &clap::Error) -> Exit {
    if !found.use_stderr() {
        // A help text that is not read to its end is no failure.
        let _ = found.print();
        return Exit::Stopped;
    }
    if io::stderr().is_terminal() {
        // With clap's colours.
        let _ = found.print();
    } else {
        observe::print_error(&found.render().to_string());
    }
    Exit::Usage
}

/// Writes a line to stdout. A reader that has closed the pipe is no failure.
///
/// # Errors
/// The system's, such as a full disk.
#[cfg(feature = "shop")]
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    use std::io::Write;

    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("failed to print to stdout: {error}"),
        )),
        Ok(()) => Ok(()),
    }
}

/// Writes the reason of a failure to stderr. It gives up when nobody reads stderr.
pub(crate) fn print_error(text: &str) {
    observe::print_error(&format!("{text}\n"));
}
