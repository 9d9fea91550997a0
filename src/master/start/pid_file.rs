//! The pid file: written when the master has its locks, removed when the master ends, unless another program
//! has written its pid there meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::durable::{Durability, replace_file_for};
use crate::sys::procfs;

/// Monitoring and the workers' own user may read the pid.
const MODE: u32 = 0o644;

/// The pid file, which is removed when this value is dropped.
#[derive(Debug)]
pub(in crate::master) struct PidFile {
    path: PathBuf,
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// It cannot be written.
    #[error("failed to write the pid file {path}: {source}; its directory must exist and be writable")]
    Io {
        /// The path of the pid file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It names another master, which runs.
    #[error(
        "the pid file {path} is that of pid {pid} ({command}), which runs: stop that one, choose another \
         --pid-file, or remove the file if it is left over"
    )]
    Taken {
        /// The path of the pid file.
        path: PathBuf,
        /// The pid in the file.
        pid: i32,
        /// What that process is.
        command: String,
    },
}

impl PidFile {
    /// Writes the pid file, if `path` names one.
    pub(in crate::master) fn write(path: Option<&Path>) -> Result<Option<PidFile>, PidFileError> {
        let Some(path) = path else { return Ok(None) };
        if let Some(pid) = running_owner(path) {
            return Err(PidFileError::Taken {
                path: path.to_owned(),
                pid,
                command: procfs::command_line(pid),
            });
        }
        match replace_file_for(path, content().as_bytes(), Durability::ProcessExit, MODE) {
            Ok(()) => Ok(Some(PidFile {
                path: path.to_owned(),
            })),
            Err(source) => Err(PidFileError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The pid file that the master before this binary wrote, with the same pid.
    pub(in crate::master) fn restored(path: PathBuf) -> PidFile {
        PidFile { path }
    }

    /// The path of the pid file.
    pub(in crate::master) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::read(&self.path).is_ok_and(|found| found == content().as_bytes()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The process that the file names, if it is another one of this program: a pid that was given out again to
/// any other program is no obstacle.
fn running_owner(path: &Path) -> Option<i32> {
    let pid: i32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let is_another = u32::try_from(pid).ok()? != std::process::id();
    (is_another && name(&pid.to_string())? == name("self")?).then_some(pid)
}

fn content() -> String {
    format!("{}\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_removed_unless_it_holds_another_pid() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        drop(PidFile::write(Some(&path)).expect("written"));
        assert!(!path.exists());
        let file = PidFile::write(Some(&path)).expect("written");
        std::fs::write(&path, "1\n").expect("replaced");
        drop(file);
        assert!(path.exists(), "it was another's");
    }

    #[test]
    fn the_file_of_another_master_that_runs_is_left_alone_and_a_stale_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        // A process of this program: a thread's number is one, too, and has a directory in /proc.
        let (told, heard) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let other = std::thread::Builder::new().spawn(move || {
            let comm = std::fs::read_to_string("/proc/self/comm").expect("a name");
            std::fs::write("/proc/thread-self/comm", comm.trim()).expect("named alike");
            told.send(nix::unistd::gettid().as_raw()).expect("heard");
            let _over = ended.recv();
        });
        let pid = heard.recv().expect("told");
        std::fs::write(&path, format!("{pid}\n")).expect("written");
        let error = PidFile::write(Some(&path)).expect_err("taken").to_string();
        assert!(error.contains(&format!("pid {pid}")), "{error}");
        drop(end);
        other.expect("started").join().expect("no panic");
        drop(PidFile::write(Some(&path)).expect("stale"));
        std::fs::write(&path, "1\n").expect("written");
        drop(PidFile::write(Some(&path)).expect("another program has that pid by now"));
    }
}
