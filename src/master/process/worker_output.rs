//! What the master does for the output of a worker's program: it keeps the ring of the last lines, and opens
//! the file of `run.log_file`, which the worker's user may not be able to open.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use tracing::{debug, info, warn};

use crate::config::Settings;
use crate::lifeline::Command;
use crate::master::host::Host;
use crate::observe;
use crate::output_ring::{OutputRing, OutputView};

/// How many of the last lines `why` shows: the error of a Node program stands before some twenty lines of its
/// own.
const MAX_LAST_LINES: usize = 40;
/// Longest line that `why` shows, in characters.
const MAX_LAST_LINE: usize = 1024;

/// The ring of a worker that runs a program.
#[derive(Debug)]
pub(in crate::master) struct WorkerOutput {
    pub(in crate::master) view: OutputView,
    /// The memory file of the ring, which the next master binary maps again.
    pub(in crate::master) fd: OwnedFd,
}

impl WorkerOutput {
    /// A new ring, if these settings run a program.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(super) fn for_program(settings: &Settings) -> io::Result<Option<WorkerOutput>> {
        if !settings.run.is_asked_for() {
            return Ok(None);
        }
        let fd = OutputRing::create_fd("cluster-output")?;
        WorkerOutput::restored(fd).map(Some).map_err(io::Error::other)
    }

    /// The ring of a worker that the master before this binary started.
    ///
    /// # Errors
    /// When this binary does not know the layout of the ring.
    pub(in crate::master) fn restored(
        fd: OwnedFd,
    ) -> Result<WorkerOutput, crate::output_ring::OutputRingError> {
        Ok(WorkerOutput {
            view: OutputView::open(fd.as_fd())?,
            fd,
        })
    }
}

/// The mode of a log file that is made: others than its user and group may not read what a program prints.
const FILE_MODE: u32 = 0o640;

/// Opens the file for what a program prints. A worker is not kept from its work by a log: without the file
/// the lines go to the log of the master.
pub(super) fn file_of(settings: &Settings) -> Option<File> {
    let path = settings
        .run
        .log_file
        .as_ref()
        .filter(|_| settings.run.is_asked_for())?;
    open(path)
        .inspect_err(|error| {
            warn!(
                file = %path.display(),
                "failed to open run.log_file {}: {error}; what the program prints goes to this log",
                path.display()
            );
        })
        .ok()
}

/// Appends to a file. A pipe that nobody reads is refused, and none is waited for.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
}

impl Host {
    /// Opens the files of `run.log_file` anew and hands them to the workers, after somebody has renamed them.
    pub(in crate::master) fn reopen_output_files(&self) {
        let mut opened: BTreeMap<&Path, Option<File>> = BTreeMap::new();
        for process in self.processes.values() {
            let generation = self.generations.get(&process.facts.generation);
            let Some(path) = generation.and_then(|generation| generation.settings.run.log_file.as_deref())
            else {
                continue;
            };
            let file = opened.entry(path).or_insert_with(|| reopened(path));
            let Some(file) = file else { continue };
            if let Err(error) = process.command_with(&Command::OutputFile, file.as_fd()) {
                debug!(life = %process.facts.life, "failed to hand a worker its log file: {error}");
            }
        }
        if opened.is_empty() {
            debug!("ignored SIGUSR1: no worker writes to a file (run.log_file)");
        }
    }
}

fn reopened(path: &Path) -> Option<File> {
    match open(path) {
        Ok(file) => {
            info!(file = %path.display(), "opened {} again", path.display());
            Some(file)
        }
        Err(error) => {
            warn!(
                file = %path.display(),
                "failed to open run.log_file {} again: {error}; the workers write to the old one",
                path.display()
            );
            None
        }
    }
}

/// The last lines of a worker for `why`: those of its program, then what the worker itself had to say.
pub(in crate::master) fn last_lines(output: Option<&WorkerOutput>, own: Vec<String>) -> Vec<String> {
    let program = output.map(|output| output.view.last_lines(MAX_LAST_LINES).lines);
    let program = program.into_iter().flatten();
    let program = program.map(|line| {
        observe::printable(&line.text)
            .chars()
            .take(MAX_LAST_LINE)
            .collect()
    });
    let mut lines: Vec<String> = program.chain(own).collect();
    lines.drain(..lines.len().saturating_sub(MAX_LAST_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output_ring::OutputStream;

    #[test]
    fn a_file_is_appended_to_and_made_for_its_group() {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("app.log");
        for text in ["one\n", "two\n"] {
            let mut file = open(&path).expect("opened");
            file.write_all(text.as_bytes()).expect("written");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one\ntwo\n");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert!(open(&pipe).is_err(), "nobody reads it");
    }

    #[test]
    fn the_last_lines_are_the_programs_and_then_the_workers() {
        let fd = OutputRing::create_fd("test").expect("a memfd");
        let ring = OutputRing::open(fd.try_clone().expect("a copy")).expect("a ring");
        let output = WorkerOutput::restored(fd).expect("a view");
        for number in 0..50 {
            ring.push(OutputStream::Stderr, 0, format!("{number}\x1b[1m").as_bytes());
        }
        ring.push(OutputStream::Stdout, 0, "y".repeat(5000).as_bytes());
        let lines = last_lines(Some(&output), vec!["the program ended".to_owned()]);
        assert_eq!((lines.len(), lines[0].as_str()), (40, "12\\u{1b}[1m"));
        assert_eq!(
            (lines[38].len(), lines[39].as_str()),
            (MAX_LAST_LINE, "the program ended")
        );
        assert_eq!(last_lines(None, vec!["a".to_owned()]), ["a"]);
    }
}
