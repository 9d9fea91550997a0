//! Printing to stdout. A reader that has closed the pipe is not a failure.

use std::io::{self, Write};

use crate::base::exit::Exit;
use crate::observe;

/// How printing a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrintResult {
    /// The whole text was written.
    Complete,
    /// The reader of stdout has closed it.
    ReaderGone,
    /// The text could not be written; stderr says why.
    Failed,
}

impl PrintResult {
    /// The exit code of a command that only prints.
    pub(super) fn exit(self) -> Exit {
        match self {
            PrintResult::Complete | PrintResult::ReaderGone => Exit::Stopped,
            PrintResult::Failed => Exit::Failed,
        }
    }
}

/// Writes the text to stdout.
pub(super) fn print(text: &[u8]) -> PrintResult {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => PrintResult::Complete,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => PrintResult::ReaderGone,
        Err(error) => {
            observe::print_error(&format!("failed to print to stdout: {error}\n"));
            PrintResult::Failed
        }
    }
}
